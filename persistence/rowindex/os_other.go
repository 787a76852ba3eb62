//go:build !linux

package rowindex

// preferHugePages is a wish that only Linux knows.
func preferHugePages([]byte) {}
