package scan

import "strings"

// glob is the parsed part of a gitignore(5) pattern from its first wildcard on. It is matched by
// following all its states at once. So no pattern takes longer than its length times that of the
// path.
type glob []token

type token struct {
	what tokenKind
	char byte
	set  *[32]byte // for oneOf: a bit for each byte
}

type tokenKind uint8

const (
	literal tokenKind = iota // this byte
	oneOf                    // one byte of a set
	star                     // any bytes but slashes, or none
	all                      // any bytes, or none
	anyDirs                  // nothing, or what the next one means
	within                   // any bytes and a slash; follows anyDirs
	nothing                  // no byte: a broken pattern matches nothing
)

// wildcard has the bytes of a pattern that are not literal.
const wildcard = `*?[\`

// notSlash is the set for "?".
var notSlash = func() (set [32]byte) {
	for c := range 256 {
		if c != '/' {
			set[c/8] |= 1 << (c % 8)
		}
	}
	return set
}()

// parseGlob parses a pattern.
func parseGlob(p string) glob {
	var g glob
	for i := 0; i < len(p); {
		switch p[i] {
		case '?':
			g = append(g, token{what: oneOf, set: &notSlash})
			i++
		case '*':
			n := i
			for i < len(p) && p[i] == '*' {
				i++
			}
			before := n == 0 || p[n-1] == '/'
			switch {
			case i-n > 1 && before && i == len(p):
				g = append(g, token{what: all})
			case i-n > 1 && before && p[i] == '/':
				g = append(g, token{what: anyDirs}, token{what: within})
				i++
			case i-n > 1 && before && strings.HasPrefix(p[i:], `\/`):
				g = append(g, token{what: all})
			default:
				g = append(g, token{what: star})
			}
		case '[':
			set, rest, ok := parseSet(p[i+1:])
			if !ok {
				return glob{{what: nothing}}
			}
			g = append(g, token{what: oneOf, set: set})
			i = len(p) - len(rest)
		case '\\':
			if i++; i == len(p) {
				return glob{{what: nothing}}
			}
			fallthrough
		default:
			g = append(g, token{what: literal, char: p[i]})
			i++
		}
	}
	return g
}

// parseSet parses a set after its bracket: bytes, ranges and classes, inverted by "!" or "^". A set
// never has a slash.
func parseSet(p string) (set *[32]byte, rest string, ok bool) {
	set = new([32]byte)
	add := func(c int) { set[c/8] |= 1 << (c % 8) }
	negated := p != "" && (p[0] == '!' || p[0] == '^')
	if negated {
		p = p[1:]
	}
	last := -1 // the byte with which a range may begin
	for first := true; ; first = false {
		if p == "" {
			return nil, "", false
		}
		c := p[0]
		if c == ']' && !first {
			break
		}
		p = p[1:]
		switch {
		case c == '-' && last > 0 && p != "" && p[0] != ']':
			to := p[0]
			p = p[1:]
			if to == '\\' {
				if p == "" {
					return nil, "", false
				}
				to, p = p[0], p[1:]
			}
			for b := last; b <= int(to); b++ {
				add(b)
			}
			last = -1
			continue
		case c == '[' && strings.HasPrefix(p, ":"):
			name, after, found := cutClass(p[1:])
			if !found { // no class: the bracket is an ordinary byte
				break
			}
			in, known := classes[name]
			if !known {
				return nil, "", false
			}
			for b := range 128 {
				if in(byte(b)) {
					add(b)
				}
			}
			p, last = after, -1
			continue
		case c == '\\':
			if p == "" {
				return nil, "", false
			}
			c, p = p[0], p[1:]
		}
		add(int(c))
		last = int(c)
	}
	if negated {
		for i := range set {
			set[i] = ^set[i]
		}
	}
	set['/'/8] &^= 1 << ('/' % 8)
	return set, p[1:], true
}

// cutClass reads the name of a class up to ":]". If a bracket comes first without a colon, there is
// no class.
func cutClass(p string) (name, rest string, ok bool) {
	i := strings.IndexByte(p, ']')
	if i < 1 || p[i-1] != ':' {
		return "", "", false
	}
	return p[:i-1], p[i+1:], true
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }
func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return isUpper(c) || isLower(c) }
func isGraph(c byte) bool { return '!' <= c && c <= '~' }

// classes are those of POSIX, for ASCII.
var classes = map[string]func(byte) bool{
	"alnum": func(c byte) bool { return isAlpha(c) || isDigit(c) },
	"alpha": isAlpha,
	"blank": func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl": func(c byte) bool { return c < ' ' || c == 127 },
	"digit": isDigit,
	"graph": isGraph,
	"lower": isLower,
	"print": func(c byte) bool { return isGraph(c) || c == ' ' },
	"punct": func(c byte) bool { return isGraph(c) && !isAlpha(c) && !isDigit(c) },
	"space": func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' },
	"upper": isUpper,
	"xdigit": func(c byte) bool {
		return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	},
}

// match reports whether the glob matches the whole text.
func (g glob) match(text string) bool {
	const few = 64
	var room [2][few]bool
	at, next := room[0][:], room[1][:]
	if len(g) >= few {
		at, next = make([]bool, len(g)+1), make([]bool, len(g)+1)
	}
	at, next = at[:len(g)+1], next[:len(g)+1]
	g.reach(at, 0)
	for i := range len(text) {
		clear(next)
		alive := false
		for s, here := range at[:len(g)] {
			alive = here && g.step(next, s, text[i]) || alive
		}
		if !alive {
			return false
		}
		at, next = next, at
	}
	return at[len(g)]
}

// step marks the states that follow a state by a byte. It reports whether there are any.
func (g glob) step(next []bool, s int, c byte) bool {
	switch t := &g[s]; {
	case t.what == literal && c == t.char, t.what == oneOf && t.set[c/8]&(1<<(c%8)) != 0:
		g.reach(next, s+1)
	case t.what == star && c != '/', t.what == all:
		g.reach(next, s)
	case t.what == within:
		next[s] = true
		if c == '/' {
			g.reach(next, s+1)
		}
	default:
		return false
	}
	return true
}

// reach marks a state, and the states that follow it without a byte.
func (g glob) reach(at []bool, s int) {
	for !at[s] {
		at[s] = true
		if s == len(g) {
			return
		}
		switch g[s].what {
		case star, all:
			s++
		case anyDirs:
			at[s+1] = true
			s += 2
		default:
			return
		}
	}
}
