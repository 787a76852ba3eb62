package sqlite_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"sekali"
	"sekali/persistence/sqlite"
	"sekali/persistence/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB, dir string) sekali.Store {
		t.Helper()
		store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
		require.NoError(t, err)
		store.SetSearchWindow(200)
		return store
	})
}

func TestStoreKeepsTheContractOverManySegments(t *testing.T) {
	storetest.Run(t, func(t testing.TB, dir string) sekali.Store {
		t.Helper()
		store, err := sqlite.Open(t.Context(), dir, sqlite.Options{}.WithGenerations(64))
		require.NoError(t, err)
		store.SetSearchWindow(50)
		return store
	})
}
