// Package report turns the results of runs into what is read: medians and
// spreads, a table, charts, and the list of what Sekali loses.
//
// Everything here is a function of the results alone, so the same raw file
// always makes the same text.
package report
