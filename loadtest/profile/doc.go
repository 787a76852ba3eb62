// Package profile measures a server against the goals that the project has set
// itself: each profile loads it in one way and returns figures, held against
// their goals, and what bounds them on this machine, measured in the same run.
//
// Sustained and Singles measure speed, Growth whether it fades, Isolation and
// Overload what others and too much of it do, Reads the way back out, Restart
// the time until a server is ready again, Idle what one uses that has nothing to
// do. Every profile that sends events holds the server's own counts against what
// was answered and reads or sends a sample of the events again. What was wrong is a problem of the result; a goal
// that is missed is not, because a machine may be slow.
//
// A profile runs alone in its process: it measures the CPU time that the
// process takes.
package profile
