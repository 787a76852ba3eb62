// Package ceiling measures what bounds a server on a machine, so that its
// figures can be given as ratios of something that ran beside it: how fast
// SQLite appends the same rows when nothing has to be unique, and how many
// requests the HTTP library answers when there is nothing to do.
package ceiling
