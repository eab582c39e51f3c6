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

// version is of the protocol. It changes only when an executable of before could not work any more; new fields do not change it.
const version = 1

// limit is the largest answer in bytes: some ten thousand instances.
const limit = 1 << 20

// request is what the executable reads.
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

type spec struct {
	Image  string `json:"image,omitempty"`
	Flavor string `json:"flavor,omitempty"`
	Cores  int    `json:"cores,omitempty"`
	Memory int64  `json:"memory,omitempty"`
	Disk   int64  `json:"disk,omitempty"`
}

// answer is what it writes. Fields that we do not know are ignored.
type answer struct {
	Instances []instance  `json:"instances"`
	Error     *failure    `json:"error"`
	Abilities []string    `json:"abilities"` // of describe: "clean", "check", "names", "as-is"
	Names     []string    `json:"names"`     // of names
	Checked   string      `json:"checked"`   // of clean
	Exec      *execTarget `json:"exec"`      // of connect
	SSH       *sshTarget  `json:"ssh"`       // of connect
}

type instance struct {
	ID         string            `json:"id"`
	ProviderID string            `json:"provider_id"`
	Address    string            `json:"address"`
	Facts      map[string]string `json:"facts"`
}

type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
}

type execTarget struct {
	Prefix []string `json:"prefix"`
	Root   string   `json:"root"`
	Dir    string   `json:"dir"`
}

type sshTarget struct {
	Host       string `json:"host"`
	User       string `json:"user"`
	Port       int    `json:"port"`
	KeyFile    string `json:"key_file"`
	KnownHosts string `json:"known_hosts"`
	ConfigFile string `json:"config_file"`
}

// kinds are the words for an error's kind.
var kinds = map[string]error{
	"failed": compute.ErrFailed, "unavailable": compute.ErrUnavailable, "invalid": compute.ErrInvalid, "no-capacity": compute.ErrNoCapacity,
	"timeout": compute.ErrTimeout, "not-found": compute.ErrNotFound, "conflict": compute.ErrConflict, "denied": compute.ErrDenied,
	"not-ready": compute.ErrNotReady,
}

// parse reads an answer: one JSON object, and nothing after it.
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
	if a.SSH != nil && (a.SSH.Port < 0 || a.SSH.Port > 65535) {
		return nil, fmt.Errorf("port %d", a.SSH.Port)
	}
	return &a, nil
}

// word reports whether s may be a name: not empty, not too long, of visible characters.
func word(s string) bool {
	return s != "" && len(s) <= 255 && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) })
}

// err returns the failure as an error of the provider's.
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

// line makes outside text fit to be shown: one line, no control characters, 2,000 bytes.
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
