package result

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// columnGap stands between two columns.
const columnGap = "  "

// writeColumns writes rows, the first of which is the heading; columns of
// numbers are set to the right.
func writeColumns(b *strings.Builder, rows [][]string) {
	b.WriteString(strings.Join(columns(rows, numeric(rows[1:])), ""))
}

// columns sets the cells of all rows in columns and returns one line for each
// row. A missing cell is empty.
func columns(rows [][]string, right []bool) []string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, len(rows))
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(columnGap)
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < len(right) && right[i] {
				line.WriteString(pad + cell)
			} else {
				line.WriteString(cell + pad)
			}
		}
		lines[n] = strings.TrimRight(line.String(), " ") + "\n"
	}
	return lines
}

// numeric tells which columns hold numbers: those of which every cell that is
// not empty begins with a digit, a sign or is a dash.
func numeric(rows [][]string) []bool {
	var right []bool
	for _, row := range rows {
		for i, cell := range row {
			if i == len(right) {
				right = append(right, true)
			}
			right[i] = right[i] && isNumber(cell)
		}
	}
	return right
}

func isNumber(cell string) bool {
	cell = strings.TrimLeft(cell, "+-")
	first, _ := utf8.DecodeRuneInString(cell)
	return cell == "" || unicode.IsDigit(first)
}
