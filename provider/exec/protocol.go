package exec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hostler-project/hostler/compute"
)

// version is the version of the protocol. It changes only if existing executables would stop
// working. New fields do not change it.
const version = 1

// limit is the size of the largest answer in bytes: about ten thousand instances.
const limit = 1 << 20

// request is the JSON object that the executable reads.
type request struct {
	Version      int               `json:"version"`
	Verb         string            `json:"verb"`
	Source       string            `json:"source"`
	Installation string            `json:"installation"`
	ID           string            `json:"id,omitempty"`
	Spec         *spec             `json:"spec,omitempty"`
	Dir          string            `json:"dir,omitempty"`
	Settings     map[string]string `json:"settings"`
}

// spec is what a create request asks for. 0 and "" leave the choice to the executable. Memory and
// Disk are in bytes.
type spec struct {
	Image  string `json:"image,omitempty"`
	Flavor string `json:"flavor,omitempty"`
	Cores  int    `json:"cores,omitempty"`
	Memory int64  `json:"memory,omitempty"`
	Disk   int64  `json:"disk,omitempty"`
}

// answer is the JSON object that the executable writes. Unknown fields are ignored.
type answer struct {
	Instances []instance  `json:"instances"`
	Error     *failure    `json:"error"`
	Abilities []string    `json:"abilities"` // of describe: "clean", "check", "names", "as-is"
	Names     []string    `json:"names"`     // of names
	Checked   string      `json:"checked"`   // of clean
	Exec      *execTarget `json:"exec"`      // of connect
	SSH       *sshTarget  `json:"ssh"`       // of connect
}

// instance is a computer as the executable describes it. The fields after ID may be empty.
type instance struct {
	ID         string            `json:"id"`
	ProviderID string            `json:"provider_id"`
	Address    string            `json:"address"`
	Facts      map[string]string `json:"facts"`
}

// failure is an error of the executable. Kind is one of kinds; an unknown one counts as failed.
type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

// execTarget says how local processes reach a computer: a prefix for commands, and a root for
// files.
type execTarget struct {
	Prefix []string `json:"prefix"`
	Root   string   `json:"root"`
	Dir    string   `json:"dir"`
}

// sshTarget says how ssh reaches a computer.
type sshTarget struct {
	Host       string `json:"host"`
	User       string `json:"user"`
	Port       int    `json:"port"`
	KeyFile    string `json:"key_file"`
	KnownHosts string `json:"known_hosts"`
	ConfigFile string `json:"config_file"`
}

// kinds maps the protocol's words to the kinds of errors.
var kinds = map[string]error{
	"failed": compute.ErrFailed, "unavailable": compute.ErrUnavailable, "invalid": compute.ErrInvalid, "no-capacity": compute.ErrNoCapacity,
	"timeout": compute.ErrTimeout, "not-found": compute.ErrNotFound, "conflict": compute.ErrConflict, "denied": compute.ErrDenied,
	"not-ready": compute.ErrNotReady,
}

// parse reads an answer: one JSON object with nothing after it.
func parse(data []byte) (*answer, error) {
	if len(data) > limit {
		return nil, fmt.Errorf("an answer beyond %d bytes", limit)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("no answer")
	}
	if bytes.TrimSpace(data)[0] != '{' {
		return nil, errors.New("the answer is not a JSON object")
	}
	var a answer
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("the answer is not what the protocol says: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the answer")
	}
	seen := map[string]bool{}
	for _, in := range a.Instances {
		if !word(in.ID) {
			return nil, fmt.Errorf("an instance named %q", in.ID)
		}
		if seen[in.ID] {
			return nil, fmt.Errorf("the instance %s twice", in.ID)
		}
		seen[in.ID] = true
		if err := in.check(); err != nil {
			return nil, fmt.Errorf("of the instance %s %w", in.ID, err)
		}
	}
	named := map[string]bool{}
	for _, n := range a.Names {
		if !word(n) || named[n] {
			return nil, fmt.Errorf("a name %q, or twice that", n)
		}
		named[n] = true
	}
	if a.Exec != nil && a.SSH != nil {
		return nil, errors.New("two ways in at once, exec and ssh")
	}
	if err := a.target(); err != nil {
		return nil, err
	}
	return &a, nil
}

// The limits of what an executable may say of an instance. It is stored, shown on terminals and
// passed to hooks.
const (
	factsLimit = 64   // facts
	valueLimit = 1024 // bytes of one
)

// check returns an error if the texts of an instance are not fit to be stored and shown.
func (in *instance) check() error {
	if in.ProviderID != "" && !printable(in.ProviderID) {
		return fmt.Errorf("the provider_id %.80q", in.ProviderID)
	}
	if in.Address != "" && !word(in.Address) {
		return fmt.Errorf("the address %.80q", in.Address)
	}
	if len(in.Facts) > factsLimit {
		return fmt.Errorf("%d facts, more than %d", len(in.Facts), factsLimit)
	}
	for k, v := range in.Facts {
		if !word(k) || v != "" && !printable(v) {
			return fmt.Errorf("the fact %.80q with the value %.80q", k, v)
		}
	}
	return nil
}

// target returns an error unless the answer has a valid way to connect.
func (a *answer) target() error {
	if s := a.SSH; s != nil {
		if s.Port < 0 || s.Port > 65535 {
			return fmt.Errorf("port %d", s.Port)
		}
		if s.Host != "" && !word(s.Host) {
			return fmt.Errorf("the host %.80q", s.Host)
		}
		if !printable(s.User) {
			return fmt.Errorf("the user %.80q", s.User)
		}
		for what, v := range map[string]string{"key_file": s.KeyFile, "known_hosts": s.KnownHosts, "config_file": s.ConfigFile} {
			if !path(v) {
				return fmt.Errorf("the %s %.80q", what, v)
			}
		}
	}
	if e := a.Exec; e != nil {
		for what, v := range map[string]string{"root": e.Root, "dir": e.Dir} {
			if !path(v) {
				return fmt.Errorf("the %s %.80q", what, v)
			}
		}
		for _, w := range e.Prefix { // may be a script of several lines
			if strings.Contains(w, "\x00") {
				return errors.New("a NUL in the prefix")
			}
		}
	}
	return nil
}

// printable reports whether s may be a value: one line of visible characters and blanks, and not
// too long.
func printable(s string) bool {
	return len(s) <= valueLimit && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.In(r, unicode.Zl, unicode.Zp) })
}

// path reports whether s may be a file's path. An empty path is allowed.
func path(s string) bool {
	return len(s) <= 4096 && !strings.ContainsFunc(s, unicode.IsControl)
}

// word reports whether s may be a name: visible characters, not empty and not too long.
func word(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) })
}

// err returns the failure as an error of the provider.
func (f *failure) err(op string, id compute.ID) error {
	word := strings.NewReplacer("_", "-", " ", "-").Replace(strings.ToLower(f.Kind))
	kind, ok := kinds[word]
	text := f.Message
	if !ok {
		kind = compute.ErrFailed
		if f.Kind != "" {
			text = strings.TrimSuffix(f.Kind+": "+text, ": ")
		}
	}
	out := &compute.Error{Op: op, ID: id, Kind: kind, Hint: strings.TrimSuffix(line(f.Hint), ".")}
	if text != "" {
		out.Err = errors.New(line(text))
	}
	return out
}

// line makes outside text fit to be shown: one line, no control characters, at most 2,000 bytes.
func line(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))), " ")
	if len(s) > 2000 {
		s = strings.ToValidUTF8(s[:2000], "") + " ..."
	}
	return s
}
