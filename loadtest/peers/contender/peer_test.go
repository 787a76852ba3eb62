package contender_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/loadtest/peers/contender"
)

func namesOf(kinds []contender.Kind) (names []string) {
	for _, k := range kinds {
		names = append(names, k.Name)
	}
	return names
}

func TestPeersAreChosenByNameAndByFamily(t *testing.T) {
	for list, want := range map[string][]string{
		"all":                   {"sekali", "nats-always", "nats-default", "postgres-100", "postgres-5000", "redis", "sqlite"},
		"sqlite,sekali":         {"sqlite", "sekali"},
		"postgres":              {"postgres-100", "postgres-5000"},
		"nats-default,postgres": {"nats-default", "postgres-100", "postgres-5000"},
	} {
		kinds, err := contender.Choose(list)
		require.NoError(t, err)
		require.Equal(t, want, namesOf(kinds))
	}
	_, err := contender.Choose("kafka")
	require.ErrorContains(t, err, `there is no peer "kafka"; there are: all, sekali, `)
}

func TestEveryPeerSaysHowItIsRun(t *testing.T) {
	for _, k := range contender.Kinds() {
		require.NotEmpty(t, k.Label)
		require.NotEmpty(t, k.Settings, k.Name)
		require.Positive(t, k.Connections, k.Name)
		require.Positive(t, k.RequestEvents, k.Name)
	}
}
