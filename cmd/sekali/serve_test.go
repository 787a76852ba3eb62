package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"sekali/persistence/sqlite"
)

func TestAStoreThatDoesNotOpenIsSaidWithWhatToDo(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code int
		says []string
	}{
		{"another process has it", &sqlite.InUseError{Dir: "/data"}, exitInUse, []string{"/data is in use", "--data-dir"}},
		{"acknowledged events are missing", &sqlite.LossError{Dir: "/data", ID: "0badcafe"}, exitStorage, []string{"missing in /data", "Restore a backup", "--accept-loss 0badcafe"}},
		{"the file system is refused", &sqlite.FileSystemError{Dir: "/data", Name: "nfs"}, exitStorage, []string{"type nfs", "ext4", "--allow-file-system nfs"}},
		{"anything else", errors.New("input/output error"), exitStorage, []string{"open the store in /data", "input/output error"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := openError("/data", fmt.Errorf("start: %w", tc.err))
			var exit *exitError
			require.ErrorAs(t, err, &exit)
			require.Equal(t, tc.code, exit.code)
			for _, says := range tc.says {
				require.ErrorContains(t, err, says)
			}
		})
	}
}
