package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"sekali"
	"sekali/client"
)

func ExampleClient_Publish() {
	// Stands for a server that has stored the second event before.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"ok","accepted":2,"stored":1,"duplicates":1,`+
			`"results":[{"outcome":"stored","seq":42},{"outcome":"duplicate","seq":17}]}`)
	}))
	defer server.Close()

	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // retries end here
	defer cancel()
	results, err := c.Publish(ctx, []sekali.Event{
		{Topic: "order.created", ID: "order-001", Source: "shop", Time: time.Now(), Payload: []byte(`{"total": 12}`)},
		{Topic: "order.created", ID: "order-000", Source: "shop", Time: time.Now()},
	})
	if err != nil {
		panic(err) // events[len(results):] are the ones to publish again
	}
	for _, r := range results {
		fmt.Println(r.Outcome, r.Seq)
	}
	// Output:
	// stored 42
	// duplicate 17
}
