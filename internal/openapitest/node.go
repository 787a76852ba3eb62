package openapitest

import (
	"iter"
	"strconv"
	"strings"
)

// node is a value of the description and where it stands. The zero node is one
// that does not exist; get and children may be called on it.
type node struct {
	root    any
	value   any
	pointer string // JSON pointer from the root, references followed
}

func (n node) exists() bool { return n.value != nil }

// get returns the member of an object, or the element of an array, with
// references followed.
func (n node) get(key string) node {
	child, ok := member(n.value, key)
	if !ok {
		return node{}
	}
	return node{n.root, child, n.pointer + "/" + escapePointer(key)}.follow()
}

// children yields the members of an object or the elements of an array, with
// references followed.
func (n node) children() iter.Seq2[string, node] {
	return func(yield func(string, node) bool) {
		switch value := n.value.(type) {
		case map[string]any:
			for key := range value {
				if !yield(key, n.get(key)) {
					return
				}
			}
		case []any:
			for i := range value {
				if key := strconv.Itoa(i); !yield(key, n.get(key)) {
					return
				}
			}
		}
	}
}

// follow resolves a {"$ref": "#/..."}. A reference that leads nowhere gives a
// node that does not exist. References to other documents are not followed:
// ours is one file.
func (n node) follow() node {
	const maxHops = 16 // a circle of references ends here
	for range maxHops {
		ref, ok := member(n.value, "$ref")
		target, isString := ref.(string)
		if !ok || !isString {
			return n
		}
		pointer, ok := strings.CutPrefix(target, "#")
		if !ok {
			return node{}
		}
		n = lookup(n.root, pointer)
	}
	return node{}
}

// lookup returns the node at a JSON pointer, without following references.
func lookup(root any, pointer string) node {
	value := root
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		var ok bool
		if value, ok = member(value, unescapePointer(part)); !ok {
			return node{}
		}
	}
	return node{root, value, pointer}
}

func member(value any, key string) (any, bool) {
	switch value := value.(type) {
	case map[string]any:
		child, ok := value[key]
		return child, ok
	case []any:
		if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(value) {
			return value[i], true
		}
	}
	return nil, false
}

func escapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func unescapePointer(part string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
}
