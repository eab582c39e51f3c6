package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/run/redact"
)

// The kinds of steps.
const (
	KindKey    = "key"
	KindFile   = "file"
	KindScript = "script"
)

// Step is one thing to do on a computer: a key, a file or a script.
type Step struct {
	Kind   string // KindKey, KindFile or KindScript
	Bundle string // "": of no bundle
	Name   string // the script's name, the file's path, the key's comment
	Skip   string // the condition that does not hold; "": it is to be done

	Key string // the line for authorized_keys
	// the expanded text of a script or a template
	Text    string
	Secret  bool              // Text may contain secrets
	Mode    uint32            // of a file
	Owner   string            // of a file; "": the user that writes it
	Timeout time.Duration     // of a script: its time limit
	Run     string            // of a script: see Script
	Env     map[string]string // of a script: its bundle's arguments, added to the environment

	watch    []string
	carryOn  bool     // later steps are done even if it fails
	content  *content // of a file that is no template
	size     int64
	sum      [sha256.Size]byte
	crc      uint32
	position int // among all steps
}

// ID names the step in the record on the computer. It does not depend on the content.
func (s *Step) ID() string {
	sum := sha256.Sum256([]byte(s.Kind + "\x00" + s.Bundle + "\x00" + s.Name))
	return hex.EncodeToString(sum[:10])
}

// Title names the step for the user.
func (s *Step) Title() string {
	if s.Bundle == "" {
		return s.Kind + " " + s.Name
	}
	return "bundle " + s.Bundle + ": " + s.Kind + " " + s.Name
}

// Open returns a file's content.
func (s *Step) Open() (io.ReadCloser, error) {
	if s.content == nil {
		return io.NopCloser(strings.NewReader(s.Text)), nil
	}
	return s.content.open()
}

// Render returns the steps for a computer with these facts: keys, then files, then scripts, each in
// the order of the bundles. Of several files with one path, the last one takes the place of the
// first. A step whose condition does not hold is there, with Skip set.
func (p *Plan) Render(facts Facts) ([]*Step, error) {
	var keys, files, scripts []*Step
	key := func(bundle, line, skip string) {
		if !slices.ContainsFunc(keys, func(s *Step) bool { return s.Key == line && s.Skip == "" }) {
			keys = append(keys, &Step{Kind: KindKey, Bundle: bundle, Name: keyName(line), Key: line, Skip: skip})
		}
	}
	for _, line := range p.keys {
		key("", line, "")
	}
	for _, b := range p.parts {
		none := firstFalse(b.When, facts)
		for _, line := range b.keys {
			key(b.Name, line, none)
		}
		vars := b.visible(facts)
		for _, f := range b.Files {
			s := &Step{Kind: KindFile, Bundle: b.Name, Name: f.Path, Skip: none, Owner: f.Owner, carryOn: b.OnError == "continue"}
			if s.Skip == "" {
				s.Skip = firstFalse(f.When, facts)
			}
			if err := b.fill(s, f, vars, facts, p.byGo); err != nil {
				return nil, at(path.Join(path.Dir(b.File), b.files[f.Path].name), b.Name, "", err)
			}
			i := slices.IndexFunc(files, func(o *Step) bool { return o.Name == f.Path })
			switch {
			case i < 0:
				files = append(files, s)
			case s.Skip == "" || files[i].Skip != "":
				files[i] = s
			}
		}
		for _, sc := range b.Scripts {
			s := &Step{
				Kind: KindScript, Bundle: b.Name, Name: sc.Name, Skip: none, Timeout: sc.Timeout, Run: sc.Run,
				watch: sc.Watch, carryOn: b.OnError == "continue", Env: map[string]string{},
			}
			if s.Skip == "" {
				s.Skip = firstFalse(sc.When, facts)
			}
			var err error
			if s.Text, err = expand(b.scripts[sc.Name], vars, facts, p.byGo); err != nil {
				return nil, at(path.Join(path.Dir(b.File), "scripts", sc.Name), b.Name, "", err)
			}
			s.Secret = b.holdsSecret(b.scripts[sc.Name])
			for _, a := range b.Args {
				s.Env["HOSTLER_ARG_"+strings.ToUpper(a.Name)] = b.vars[a.Name]
			}
			s.size, s.sum = int64(len(s.Text)), sha256.Sum256([]byte(s.Text))
			scripts = append(scripts, s)
		}
	}
	steps := slices.Concat(keys, files, scripts)
	for i, s := range steps {
		s.position = i
	}
	return steps, nil
}

// visible returns the variables of a bundle and those of the computer.
func (b *part) visible(facts Facts) map[string]string {
	name := facts["name"]
	if name == "" {
		name = facts["id"]
	}
	short, _, _ := strings.Cut(name, ".")
	out := map[string]string{"node_name": name, "node_shortname": short}
	for k, v := range b.vars {
		out[k] = v
	}
	return out
}

// fill sets the content of a file's step.
func (b *part) fill(s *Step, f File, vars map[string]string, facts Facts, byGo GoTemplate) error {
	c := b.files[f.Path]
	if f.Template {
		var err error
		if s.Text, err = expand(c.text, vars, facts, byGo); err != nil {
			return err
		}
		s.Secret = b.holdsSecret(c.text)
		k := &cksum{}
		_, _ = k.Write([]byte(s.Text))
		s.size, s.sum, s.crc = int64(len(s.Text)), sha256.Sum256([]byte(s.Text)), k.sum()
	} else {
		if err := c.measure(); err != nil {
			return err
		}
		s.content, s.size, s.sum, s.crc = c, c.size, c.sum, c.crc
	}
	s.Mode = uint32(c.mode)
	if f.Mode >= 0 {
		s.Mode = uint32(f.Mode)
	}
	return nil
}

// holdsSecret reports whether an expanded template may contain secrets.
func (b *part) holdsSecret(text string) bool {
	typ, _ := templateType(text)
	for name := range b.secret {
		if typ == "go-template" || typ != "" && strings.Contains(text, name) {
			return true
		}
	}
	return false
}

// keyName returns the comment of a public key, or the end of the key.
func keyName(line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		if i > 0 && strings.HasPrefix(w, "AAAA") {
			if i+1 < len(words) {
				return strings.Join(words[i+1:], " ")
			}
			return "..." + w[max(0, len(w)-8):]
		}
	}
	return words[len(words)-1]
}

// Mask returns a text without the plan's secrets.
func (p *Plan) Mask(text string) string { return redact.String(text, p.secrets) }
