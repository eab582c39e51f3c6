package bundle

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// remoteState is what a check found on the computer.
type remoteState struct {
	facts Facts
	sha   map[string]string // digests of files, by path
	crc   map[string]string // "CRC SIZE" where there was no program for the other
	modes map[string]mode
	odd   map[string]string // what is no file at a file's path: "link", "directory", "special"
	keys  map[string]bool
	salt  string
	fresh bool              // the salt does not exist yet
	files map[string]string // the record's digests of files, by path

	newFiles map[string]string // the digests to record
	scripts  map[string]record
	alive    map[string]string // the scripts that run, and their sessions
	begun    map[string]bool   // scripts that were cut short, perhaps by a reboot
}

type mode struct {
	perm     uint32
	uid, gid string
}

type record struct{ sum, status string }

// question asks for everything that the plan may need to know.
func (p *Plan) question() []byte {
	var b bytes.Buffer
	asked := map[string]bool{}
	keys := len(p.keys) > 0
	for _, part := range p.parts {
		keys = keys || len(part.keys) > 0
		for _, f := range part.Files {
			if !asked[f.Path] {
				asked[f.Path] = true
				fmt.Fprintf(&b, "p %s\n", f.Path)
			}
		}
	}
	if keys {
		b.WriteString("keys\n")
	}
	if p.asks {
		b.WriteString("facts\n")
	}
	for _, t := range slices.Compact(slices.Sorted(slices.Values(p.tools))) {
		fmt.Fprintf(&b, "t %s\n", t)
	}
	b.WriteString(".\n")
	return b.Bytes()
}

// check finds out the state of the computer, in one round trip.
func (l *remoteShell) check(ctx context.Context, p *Plan) (*remoteState, error) {
	token := newToken()
	out := &answer{}
	if err := l.call(ctx, "look at what is there", token, checkScript, bytes.NewReader(p.question()), out); err != nil {
		return nil, err
	}
	return readRemoteState(&out.text, token)
}

// mostSeen is the longest answer that is accepted: some hundred bytes for each of 100,000 files.
const mostSeen = 64 << 20

// answer keeps at most mostSeen bytes of an answer.
type answer struct{ text bytes.Buffer }

func (a *answer) Write(p []byte) (int, error) {
	if a.text.Len()+len(p) <= mostSeen {
		_, _ = a.text.Write(p) // never fails
	}
	return len(p), nil
}

// readRemoteState reads an answer.
func readRemoteState(r io.Reader, token string) (*remoteState, error) {
	s := &remoteState{facts: Facts{}, sha: map[string]string{}, crc: map[string]string{}, modes: map[string]mode{},
		odd: map[string]string{}, keys: map[string]bool{},
		files: map[string]string{}, scripts: map[string]record{}, alive: map[string]string{}, begun: map[string]bool{}}
	lines := bufio.NewReader(io.LimitReader(r, mostSeen))
	section, head := "", false
	for {
		line, err := lines.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); err != nil {
			return nil, &compute.Error{
				Kind: compute.ErrFailed,
				Err:  errors.New("look at what is there: the answer breaks off; is there a POSIX shell?"),
			}
		}
		switch {
		case line == "hostler-bundle "+token:
			head = true
		case !head: // output of a login shell
		case line == "end "+token:
			s.finish()
			return s, nil
		case strings.HasPrefix(line, "= "):
			section = line[2:]
		default:
			s.take(section, line)
		}
	}
}

// take reads one line of a section. It skips lines that it does not understand.
func (s *remoteState) take(section, line string) {
	one, rest, _ := strings.Cut(line, " ")
	switch section {
	case "sha":
		// sha256sum marks a path with a backslash so
		if name, ok := strings.CutPrefix(one, `\`); ok {
			one, rest = name, strings.ReplaceAll(rest, `\\`, `\`)
		}
		if name := strings.TrimPrefix(strings.TrimPrefix(rest, " "), "*"); name != "" {
			s.sha[name] = one
		}
	case "cksum":
		if size, name, ok := strings.Cut(rest, " "); ok {
			s.crc[name] = one + " " + size
		}
	case "ls":
		f := strings.Fields(line)
		i := strings.Index(line, " /")
		if len(f) < 8 || i < 0 {
			return
		}
		s.modes[line[i+1:]] = mode{perm: permissions(f[0]), uid: f[2], gid: f[3]}
	case "odd":
		s.odd[rest] = one
	case "keys":
		s.keys[strings.TrimSpace(line)] = true
	case "facts":
		if v := strings.Trim(rest, `"'`); v != "" {
			s.facts[one] = v
		}
	case "record":
		s.recorded(one, strings.SplitN(rest, " ", 4))
	}
}

// recorded reads one line of the record that earlier runs left. It skips incomplete lines.
func (s *remoteState) recorded(kind string, f []string) {
	switch kind {
	case "salt":
		s.salt = f[0]
	case "file":
		if len(f) > 1 {
			s.files[strings.Join(f[1:], " ")] = f[0]
		}
	case "script":
		if len(f) > 3 { // else the line was not written to its end
			s.scripts[f[0]] = record{f[1], f[2]}
		}
	case "alive":
		if len(f) > 1 {
			s.alive[f[0]] = f[1]
		}
	case "begun":
		s.begun[f[0]] = true
	}
}

// finish converts the facts to the names and values that other sources use.
func (s *remoteState) finish() {
	if s.facts["os"] != "" {
		s.facts["os"] = strings.ToLower(s.facts["os"])
	}
	if a, ok := map[string]string{
		"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "i386": "386", "armv7l": "arm", "armv6l": "arm",
	}[s.facts["arch"]]; ok {
		s.facts["arch"] = a
	}
	if d := s.facts["distribution"]; d != "" {
		s.facts["system"] = strings.TrimSpace(d + " " + s.facts["release"])
	}
}

// permissions reads the mode of a file as ls writes it: "-rwsr-xr-t".
func permissions(s string) (m uint32) {
	if len(s) < 10 {
		return 0
	}
	for i, c := range []byte(s[1:10]) {
		if c != '-' && c != 'S' && c != 'T' {
			m |= 1 << (8 - i)
		}
	}
	for i, bit := range map[int]uint32{3: 0o4000, 6: 0o2000, 9: 0o1000} {
		if strings.IndexByte("sStT", s[i]) >= 0 {
			m |= bit
		}
	}
	return m
}

// wants says why a file's step is due: "new", "content", "mode", "owner" and so on; "" if it is
// not.
func (s *remoteState) wants(st *Step) string {
	sha, have := s.sha[st.Name]
	crc, weak := s.crc[st.Name]
	m := s.modes[st.Name]
	switch {
	case s.odd[st.Name] != "":
		return "is a " + s.odd[st.Name]
	case !have && !weak:
		return "new"
	case have && sha != hex.EncodeToString(st.sum[:]), !have && crc != fmt.Sprintf("%d %d", st.crc, st.size):
		if was, ok := s.files[st.Name]; ok && was == s.fileSum(st) {
			return "changed there by hand"
		}
		return "content"
	case m.perm != st.Mode:
		return fmt.Sprintf("mode %04o to %04o", m.perm, st.Mode)
	case st.Owner != "" && s.files[st.Name] != s.fileSum(st):
		return "owner"
	}
	if uid, gid, _ := strings.Cut(st.Owner, ":"); differs(uid, m.uid) || differs(gid, m.gid) {
		return "owner"
	}
	return ""
}

// differs reports whether an owner given by number, or root, differs.
func differs(want, have string) bool {
	if want == "root" {
		want = "0"
	}
	_, err := strconv.Atoi(want)
	return err == nil && want != have
}

// sum is a salted digest for the record. Only root can read the salt, so other users cannot guess
// the secrets in it.
func (s *remoteState) sum(parts ...string) string {
	key, _ := hex.DecodeString(s.salt)
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (s *remoteState) fileSum(st *Step) string {
	return s.sum(KindFile, string(st.sum[:]), strconv.Itoa(int(st.Mode)), st.Owner)
}

// scriptSum is a digest of all that a run of a script depends on, as far as we know.
func (s *remoteState) scriptSum(st *Step, all []*Step) string {
	parts := []string{KindScript, st.Text}
	for _, k := range sortedKeys(st.Env) {
		if strings.Contains(st.Text, k) { // otherwise its changes do not matter here
			parts = append(parts, k, st.Env[k])
		}
	}
	for _, w := range st.watch {
		for _, o := range all {
			if o.Kind == KindFile && path.Clean(w) == o.Name {
				parts = append(parts, string(o.sum[:]), strconv.Itoa(int(o.Mode)))
			}
		}
	}
	return s.sum(parts...)
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// due says why a script is to be run; "" if it has run in its present form.
func (s *remoteState) due(st *Step, all []*Step) string {
	r, ran := s.scripts[st.ID()]
	switch {
	case s.alive[st.ID()] != "":
		return "it runs there"
	case s.begun[st.ID()] && !ran:
		return "it was cut short"
	case !ran:
		return "new"
	case r.status == "timeout":
		return "its time was up when it last ran"
	case r.status == "stopped":
		return "it was stopped when it last ran"
	case r.status != "0":
		return "it failed with status " + r.status + " when it last ran"
	case st.Run == "always":
		return "it always runs"
	case st.Run == "once":
		return ""
	case r.sum != s.scriptSum(st, all):
		return "changed"
	}
	return ""
}
