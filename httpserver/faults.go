package httpserver

import "strconv"

// maxFaults is how many faults an answer lists; a sender that has more will
// not read them.
const maxFaults = 100

// fault is one broken rule, in the shape of FastAPI's error list.
type fault struct {
	index int    // of the event in its batch
	field string // "" for the event as a whole
	typ   string
	msg   string
}

// location says how a fault's place is written: under "body" or "query", with
// or without the envelope's "events" and an index.
type location struct {
	root              string
	envelope, indexed bool
}

// appendFaults appends the list of faults as `detail`; further ones were not kept.
func appendFaults(b []byte, at location, faults []fault, further int) []byte {
	b = append(b, '[')
	for i, f := range faults {
		if i == maxFaults {
			b = appendFault(append(b, ','), location{root: at.root}, fault{
				typ: "too_many_errors",
				msg: strconv.Itoa(len(faults)-maxFaults+further) + " more faults are not listed",
			})
			break
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = appendFault(b, at, f)
	}
	return append(b, ']')
}

func appendFault(b []byte, at location, f fault) []byte {
	b = append(b, `{"loc":[`...)
	b = appendString(b, at.root)
	if at.envelope {
		b = append(b, `,"events"`...)
	}
	if at.indexed && f.index >= 0 {
		b = strconv.AppendInt(append(b, ','), int64(f.index), 10)
	}
	if f.field != "" {
		b = appendString(append(b, ','), f.field)
	}
	b = appendString(append(b, `],"msg":`...), f.msg)
	b = appendString(append(b, `,"type":`...), f.typ)
	return append(b, '}')
}
