package sekali_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"sekali"
)

func TestFingerprintsDifferWithEachPartOfTheContentAndNothingElse(t *testing.T) {
	base := sekali.Event{Topic: "t", ID: "1", Source: "s", Timestamp: "2025-10-24T10:30:00Z", Payload: []byte(`{"a":1}`)}
	same := base
	same.Topic, same.ID, same.Time = "u", "2", time.Unix(1, 0)
	require.Equal(t, base.Fingerprint(), same.Fingerprint(), "topic, id and the parsed time are not content")
	for name, change := range map[string]func(*sekali.Event){
		"source":                  func(e *sekali.Event) { e.Source = "r" },
		"timestamp as sent":       func(e *sekali.Event) { e.Timestamp = "2025-10-24T10:30:00+00:00" },
		"payload":                 func(e *sekali.Event) { e.Payload = []byte(`{"a":2}`) },
		"white space in payload":  func(e *sekali.Event) { e.Payload = []byte(`{"a": 1}`) },
		"bytes that change sides": func(e *sekali.Event) { e.Source, e.Timestamp = "s2", "025-10-24T10:30:00Z" },
	} {
		other := base
		change(&other)
		require.NotEqual(t, base.Fingerprint(), other.Fingerprint(), name)
	}
}

func TestErrorsAreFoundByTheirCode(t *testing.T) {
	cause := errors.New("no space left")
	err := fmt.Errorf("append: %w", &sekali.Error{Code: sekali.CodeStorageFull, Message: "the disk is full", Err: cause})
	require.ErrorIs(t, err, &sekali.Error{Code: sekali.CodeStorageFull})
	require.NotErrorIs(t, err, sekali.ErrStorageFailed)
	require.ErrorIs(t, err, cause)
	require.Equal(t, sekali.CodeStorageFull, sekali.CodeOf(err))
	require.Equal(t, sekali.CodeInternal, sekali.CodeOf(cause))
	require.Equal(t, "append: storage_full: the disk is full: no space left", err.Error())
}

func TestOutcomesHaveTheNamesOfTheAPI(t *testing.T) {
	names := map[sekali.Outcome]string{
		sekali.OutcomeUnknown: "unknown", sekali.OutcomeStored: "stored",
		sekali.OutcomeDuplicate: "duplicate", sekali.OutcomeInvalid: "invalid",
	}
	for outcome, name := range names {
		require.Equal(t, name, outcome.String())
	}
}

func TestEveryEventIsChargedForItsValuesAndItsOverhead(t *testing.T) {
	e := sekali.Event{Topic: "tt", ID: "iii", Source: "s", Timestamp: "12345", Payload: []byte("{}")}
	require.Equal(t, 13+sekali.EventOverheadBytes, e.Size())
}
