package httpserver

import "bytes"

// These walk over JSON that the decoder has found well-formed: whatever they
// look for is there, so they need no bounds and no errors.

// pastBlanks returns where the next token begins.
func pastBlanks(v []byte, i int) int {
	for v[i] == ' ' || v[i] == '\n' || v[i] == '\r' || v[i] == '\t' {
		i++
	}
	return i
}

// pastComma returns where the next member or element begins, or the closing
// brace or bracket lies, given the end of the one before.
func pastComma(v []byte, i int) int {
	i = pastBlanks(v, i)
	if v[i] == ',' {
		i = pastBlanks(v, i+1)
	}
	return i
}

// pastString returns the end of the string that begins at i.
func pastString(v []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(v[i:], '"')
		if v[i-1] != '\\' || !escaped(v, i) {
			return i + 1
		}
	}
}

// escaped reports whether an odd number of backslashes stands before i.
func escaped(v []byte, i int) bool {
	odd := false
	for i--; v[i] == '\\'; i-- {
		odd = !odd
	}
	return odd
}

// pastValue returns the end of the value that begins at i and how deep it
// nests: a string or number 0, an object or array of them 1.
func pastValue(v []byte, i int) (end, depth int) {
	switch v[i] {
	case '"':
		return pastString(v, i), 0
	case '{', '[':
		return pastNested(v, i)
	}
	for i < len(v) && v[i] != ',' && v[i] != '}' && v[i] != ']' && v[i] > ' ' {
		i++
	}
	return i, 0
}

func pastNested(v []byte, i int) (end, depth int) {
	for level := 0; ; {
		switch v[i] {
		case '"':
			i = pastString(v, i)
			continue
		case '{', '[':
			level++
			depth = max(depth, level)
		case '}', ']':
			level--
			if level == 0 {
				return i + 1, depth
			}
		}
		i++
	}
}
