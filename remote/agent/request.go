package agent

import "github.com/hostler-project/hostler/compute"

// request is the body of an open frame.
type request struct {
	op                    int
	cmd                   compute.Command // opRun; the server sets its streams
	stdin, stdout, stderr bool            // opRun: which of the streams are used
	resize, signals       bool            // opRun: whether they may come
	one                   bool            // opRun: stderr goes where stdout goes
	// opPut, opGet and opSpace, whose path is the token; opDial and opListen
	path, network, address string
}

// maxWords is how many arguments, and variables, a request may have: more than the kernel takes
// with words of usual lengths.
const maxWords = 256 << 10

const (
	hasStdin = 1 << iota
	hasStdout
	hasStderr
	hasTTY
	hasResize
	hasSignals
	hasOne
	mayStay
	hasHold
	inSpace
	isAside
)

// appendCommand encodes a command, without its streams.
func appendCommand(b []byte, cmd *compute.Command) []byte {
	b = append(b, opRun)
	var flags uint64
	for i, has := range [...]bool{cmd.Stdin != nil, cmd.Stdout != nil, cmd.Stderr != nil, cmd.TTY != nil,
		cmd.Resize != nil, cmd.Signals != nil,
		same(cmd.Stdout, cmd.Stderr), cmd.Stay, cmd.Hold != nil, cmd.Workspace != "", cmd.Aside} {
		if has {
			flags |= 1 << i
		}
	}
	b = appendUint(b, flags)
	b = appendUint(b, uint64(len(cmd.Args)))
	for _, a := range cmd.Args {
		b = appendString(b, a)
	}
	b = appendString(b, cmd.Dir)
	b = appendUint(b, uint64(len(cmd.Env)))
	for k, v := range cmd.Env {
		b = appendString(b, k)
		b = appendString(b, v)
	}
	b = appendString(b, cmd.User)
	if cmd.TTY != nil {
		b = appendSize(b, *cmd.TTY)
		b = appendString(b, cmd.Term)
	}
	if cmd.Hold != nil {
		b = appendHold(b, cmd.Hold)
	}
	if cmd.Workspace != "" {
		b = appendString(b, cmd.Workspace)
	}
	return b
}

// appendSize encodes a terminal's size, each number bounded to what a terminal can have.
func appendSize(b []byte, s compute.Size) []byte {
	b = appendUint(b, uint64(min(max(s.Rows, 0), 65535)))
	return appendUint(b, uint64(min(max(s.Cols, 0), 65535)))
}

func (d *decoder) size() compute.Size { return compute.Size{Rows: d.int(65535), Cols: d.int(65535)} }

// decodeRequest decodes an open frame's body; nil: it is malformed.
func decodeRequest(body []byte) *request {
	d := &decoder{b: body}
	r := &request{op: d.int(255)}
	switch r.op {
	case opRun:
		flags := d.int(hasStdin | hasStdout | hasStderr | hasTTY | hasResize | hasSignals | hasOne | mayStay | hasHold | inSpace | isAside)
		r.stdin, r.stdout, r.stderr = flags&hasStdin != 0, flags&hasStdout != 0, flags&hasStderr != 0
		r.one, r.cmd.Stay, r.cmd.Aside = flags&hasOne != 0, flags&mayStay != 0, flags&isAside != 0
		r.resize, r.signals = flags&hasResize != 0, flags&hasSignals != 0
		if n := d.int(maxWords); n > 0 {
			r.cmd.Args = make([]string, 0, min(n, len(d.b)))
			for i := 0; i < n && !d.bad; i++ {
				r.cmd.Args = append(r.cmd.Args, d.string())
			}
		}
		r.cmd.Dir = d.string()
		if n := d.int(maxWords); n > 0 {
			r.cmd.Env = make(map[string]string)
			for i := 0; i < n && !d.bad; i++ {
				k := d.string()
				r.cmd.Env[k] = d.string()
			}
		}
		r.cmd.User = d.string()
		if flags&hasTTY != 0 {
			size := d.size()
			r.cmd.TTY, r.cmd.Term = &size, d.string()
		}
		if flags&hasHold != 0 {
			r.cmd.Hold = d.hold()
		}
		if flags&inSpace != 0 {
			r.cmd.Workspace = d.string()
		}
	case opPut, opGet, opSpace:
		r.path = d.string()
	case opDial, opListen:
		r.network, r.address = d.string(), d.string()
	case opFacts, opUsage, opPing, opHeld:
	default:
		return nil
	}
	if !d.end() {
		return nil
	}
	return r
}
