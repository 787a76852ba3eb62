package httpserver

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// hostRule says what requests may be addressed to. A stranger's page can make
// its own name resolve to this server (DNS rebinding) and is then, to the
// browser, of one origin with the API. The browser goes on sending the page's
// name as Host, so names that anybody could register are refused unless the
// operator listed them. Addresses, and names that public DNS does not hold,
// cannot be made to mean another machine.
type hostRule struct {
	any      bool     // "*" is listed
	exact    []string // in lower case
	suffixes []string // of "*.example.com": ".example.com"
	loopback bool     // only this machine reaches the server: then it has no other names
}

// privateSuffixes are of names that public DNS does not hold (RFC 6761, 6762,
// 8375 and ICANN's reservation of internal).
var privateSuffixes = []string{".localhost", ".local", ".internal", ".home.arpa"}

func newHostRule(listed []string) (r hostRule) {
	for _, name := range listed {
		name = strings.ToLower(name)
		switch suffix, isSuffix := strings.CutPrefix(name, "*"); {
		case name == "*":
			r.any = true
		case isSuffix:
			r.suffixes = append(r.suffixes, suffix)
		default:
			r.exact = append(r.exact, name)
		}
	}
	return r
}

// ValidHost returns what is wrong with a name for Options.AllowedHosts: it is a
// host name without scheme, port and path, or such a name after "*.", or "*".
func ValidHost(name string) error {
	bare := strings.TrimPrefix(name, "*.")
	if name == "*" {
		return nil
	}
	if bare == "" || strings.HasPrefix(bare, ".") || strings.ContainsFunc(bare, notInHostName) {
		return fmt.Errorf("%q is not a host name; write it like events.example.com or *.example.com, without scheme, port and path, or * for any", name)
	}
	return nil
}

func notInHostName(c rune) bool {
	return c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
}

// checkHost refuses a request that is addressed to a name that is not ours. As
// soon as a key is needed a stranger's page gets nothing here whatever it is
// called, so then only an operator who listed names is taken at his word.
func (s *Server) checkHost(ctx *fasthttp.RequestCtx) error {
	if s.hosts.any || (s.locked() && !s.hosts.listed()) {
		return nil
	}
	host := ctx.Request.Header.Host()
	if len(host) > 0 && !s.hosts.allows(string(host)) {
		return s.misdirected(string(host))
	}
	if target := ctx.RequestURI(); len(target) > 0 && target[0] != '/' { // it names a host, too
		if host := ctx.URI().Host(); len(host) > 0 && !s.hosts.allows(string(host)) {
			return s.misdirected(string(host))
		}
	}
	return nil
}

func (s *Server) misdirected(host string) error {
	own := "an address"
	if s.hosts.loopback {
		own = "127.0.0.1"
	}
	return problem(codeMisdirected, fmt.Sprintf("this server is not known as %q; use localhost or %s, or start it with --allowed-hosts and this name",
		printable(host), own))
}

func (r *hostRule) listed() bool { return r.any || len(r.exact)+len(r.suffixes) > 0 }

// allows reports whether a Host header may have this value.
func (r *hostRule) allows(authority string) bool {
	name := hostName(authority)
	if name == "localhost" {
		return true
	}
	if address, err := netip.ParseAddr(name); err == nil {
		return !r.loopback || address.Unmap().IsLoopback() || r.lists(name)
	}
	return r.lists(name) || (!r.loopback && isPrivate(name))
}

func (r *hostRule) lists(name string) bool {
	return r.any || slices.Contains(r.exact, name) || hasSuffix(name, r.suffixes)
}

func isPrivate(name string) bool {
	return name != "" && !strings.Contains(name, ".") || hasSuffix(name, privateSuffixes)
}

func hasSuffix(name string, suffixes []string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return false
}

// hostName returns the name or address in "name:port", "name", "[v6]:port" or
// "[v6]", in lower case and without the dot of the root.
func hostName(authority string) string {
	name := authority
	if i := strings.LastIndexByte(name, ':'); i >= 0 && !strings.HasSuffix(name, "]") {
		name = name[:i]
	}
	if inner, ok := strings.CutPrefix(name, "["); ok {
		return strings.ToLower(strings.TrimSuffix(inner, "]"))
	}
	return strings.ToLower(strings.TrimSuffix(name, "."))
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
