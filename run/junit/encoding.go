package junit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

var declared = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._:-]{1,40})["']`)
})

// decode returns the text as UTF-8 that is valid in XML. Letters that XML forbids, such as
// terminals' escapes, become U+FFFD.
func decode(r io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	head, err := in.Peek(1024)
	if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
		return nil, err
	}
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(head, []byte{0xef, 0xbb, 0xbf}):
		_, _ = in.Discard(3)
		return &cleaner{next: in.ReadRune, plain: in}, nil
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
		_, _ = in.Discard(2)
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		order = binary.BigEndian
		_, _ = in.Discard(2)
	case bytes.HasPrefix(head, []byte{'<', 0}):
		order = binary.LittleEndian
	case bytes.HasPrefix(head, []byte{0, '<'}):
		order = binary.BigEndian
	}
	if order != nil {
		return &cleaner{next: func() (rune, int, error) { return readUTF16(in, order) }}, nil
	}
	name := "utf-8"
	if m := declared().FindSubmatch(head); m != nil {
		name = strings.ToLower(string(m[1]))
	}
	switch name {
	case "utf-8", "utf8", "us-ascii", "ascii", "utf-16":
		// real UTF-16 was found above, so a file that only claims it is UTF-8
		return &cleaner{next: in.ReadRune, plain: in}, nil
	case "iso-8859-1", "latin1", "iso-8859-15", "windows-1252", "cp1252":
		return &cleaner{next: func() (rune, int, error) {
			b, err := in.ReadByte()
			if name != "iso-8859-1" && name != "latin1" {
				return fromTable(name, b), 1, err
			}
			return rune(b), 1, err
		}}, nil
	}
	return nil, fmt.Errorf("is in the encoding %s, and read are UTF-8, UTF-16, ISO-8859-1, ISO-8859-15 and windows-1252", name)
}

// fromTable decodes a byte of an encoding that differs little from ISO-8859-1.
func fromTable(name string, b byte) rune {
	if name == "iso-8859-15" {
		if i := strings.IndexByte("\xa4\xa6\xa8\xb4\xb8\xbc\xbd\xbe", b); i >= 0 {
			return []rune("€ŠšŽžŒœŸ")[i]
		}
		return rune(b)
	}
	if b >= 0x80 && b < 0xa0 {
		return []rune("€\ufffd‚ƒ„…†‡ˆ‰Š‹Œ\ufffdŽ\ufffd\ufffd‘’“”•–—˜™š›œ\ufffdžŸ")[b-0x80]
	}
	return rune(b)
}

// readUTF16 reads one rune and its size in bytes. Half a surrogate pair is utf8.RuneError.
func readUTF16(in io.Reader, order binary.ByteOrder) (rune, int, error) {
	unit := func() (rune, error) {
		var b [2]byte
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return 0, io.EOF
		}
		return rune(order.Uint16(b[:])), nil
	}
	c, err := unit()
	if err != nil || !utf16.IsSurrogate(c) {
		return c, 2, err
	}
	d, err := unit()
	if err != nil {
		return utf8.RuneError, 4, nil
	}
	return utf16.DecodeRune(c, d), 4, nil
}

// cleaner reads letter by letter from next.
type cleaner struct {
	next func() (rune, int, error)
	// nil: not UTF-8; else where next reads, and most bytes pass unchanged
	plain *bufio.Reader
	rest  []byte // the rest of a letter that did not fit
}

// Read gives the text as UTF-8. Characters that XML forbids become utf8.RuneError.
func (c *cleaner) Read(p []byte) (n int, err error) {
	n = copy(p, c.rest)
	c.rest = c.rest[n:]
	for n < len(p) {
		if c.plain != nil {
			ready, _ := c.plain.Peek(min(c.plain.Buffered(), len(p)-n))
			if i := bytes.IndexFunc(ready, isOdd); i >= 0 {
				ready = ready[:i]
			}
			n += copy(p[n:], ready)
			if _, _ = c.plain.Discard(len(ready)); n == len(p) {
				break
			}
		}
		r, _, err := c.next()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
			r = utf8.RuneError
		}
		if r < utf8.RuneSelf {
			p[n] = byte(r)
			n++
			continue
		}
		var b [utf8.UTFMax]byte
		size := utf8.EncodeRune(b[:], r)
		m := copy(p[n:], b[:size])
		n += m
		c.rest = append(c.rest[:0], b[m:size]...)
	}
	return n, nil
}

// isOdd reports whether a letter cannot simply be passed on.
func isOdd(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= utf8.RuneSelf }
