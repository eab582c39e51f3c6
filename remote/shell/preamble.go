package shell

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// longestMark bounds the script's own lines. A longer line with our word in it is not our script's.
const longestMark = 1 << 10

// Preamble takes the script's own lines off the beginning of the output, and what a log-in shell's
// start-up files may have written before.
type Preamble struct {
	Nonce  string
	W      io.Writer
	Began  func(pid, group int, rest []string) // called before the command's first output
	Failed func(status int)                    // it could not be started
	Before *Tail                               // keeps what came before the first line; may be nil

	Held []byte
	// 0: before the first line; 1: right behind it, where the second may be; 2: the command's
	// output
	state int
}

// Write takes the script's lines off the output and passes the rest on.
func (p *Preamble) Write(b []byte) (int, error) {
	if p.state == 2 {
		return p.W.Write(b)
	}
	p.Held = append(p.Held, b...)
	mark := []byte(mark + p.Nonce + " ")
	for p.state < 2 {
		at := bytes.Index(p.Held, mark)
		if p.state == 1 && at != 0 {
			if len(p.Held) < len(mark) && bytes.HasPrefix(mark, p.Held) {
				return len(b), nil // may become one
			}
			p.state = 2
			break
		}
		if at < 0 {
			if keep := len(mark); len(p.Held) > keep {
				p.noise(p.Held[:len(p.Held)-keep])
				p.Held = append([]byte(nil), p.Held[len(p.Held)-keep:]...)
			}
			return len(b), nil
		}
		end := bytes.IndexByte(p.Held[at:], '\n')
		if end < 0 && len(p.Held)-at > longestMark {
			p.state = 2 // it goes to the caller as it is, and the command never started
			break
		}
		if end < 0 {
			p.noise(p.Held[:at])
			p.Held = p.Held[at:]
			return len(b), nil
		}
		p.noise(p.Held[:at])
		words := strings.Fields(string(p.Held[at+len(mark) : at+end]))
		p.Held = p.Held[at+end+1:]
		p.line(words)
	}
	if len(p.Held) > 0 {
		_, err := p.W.Write(p.Held)
		p.Held = nil
		return len(b), err
	}
	return len(b), nil
}

func (p *Preamble) line(words []string) {
	p.state++
	if len(words) >= 3 && words[0] == "S" && p.state == 1 {
		pid, _ := strconv.Atoi(words[1])
		group, _ := strconv.Atoi(words[2])
		p.Began(pid, group, words[3:])
	}
	if len(words) == 2 && words[0] == "X" {
		n, _ := strconv.Atoi(words[1])
		p.Failed(n)
		p.state = 2
	}
}

func (p *Preamble) noise(b []byte) {
	if p.Before != nil {
		_, _ = p.Before.Write(b)
	}
}
