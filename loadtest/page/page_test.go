package page_test

import (
	"html/template"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/page"
)

func TestAPageIsOneFileAndEscapesItsData(t *testing.T) {
	var b strings.Builder
	require.NoError(t, page.Page{
		Title: "<a title>", Content: template.Must(template.New("").Parse(`<p>{{.}}</p>`)), Data: "<b>bold</b>",
		Script: "charts.start(() => {});", Charts: []string{"</script><script>alert(1)"},
	}.Write(&b))
	html := b.String()
	for _, want := range []string{
		"<title>&lt;a title&gt;</title>", "<p>&lt;b&gt;bold&lt;/b&gt;</p>", "charts.start(() => {});",
		`const report = ["\u003c/script\u003e\u003cscript\u003ealert(1)"];`, "uPlot", "MIT licence", "default-src 'none'",
	} {
		require.Contains(t, html, want)
	}
	require.NotRegexp(t, `(src|href)=`, html)
}

func TestWhatCannotBeWrittenIsAnError(t *testing.T) {
	content := template.Must(template.New("").Parse(`{{.Absent}}`))
	require.Error(t, page.Page{Content: content, Data: struct{}{}}.Write(&strings.Builder{}))
	require.Error(t, page.Page{Content: template.Must(template.New("").Parse("x")), Charts: math.NaN()}.Write(&strings.Builder{}))
}
