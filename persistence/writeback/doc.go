// Package writeback moves what was written to a file from memory to the disk
// ahead of the fsync that makes it durable, so that the fsync has little left
// to do. It holds no promise and no state; any goroutine may call it.
package writeback
