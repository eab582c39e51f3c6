package bundle

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// UserData writes the steps of a plan as a configuration for cloud-init. A computer that boots with
// it gets the same result and record as by Apply as root. A later Apply finds that work done; an
// Apply during the first boot waits for it. Call UserData anew for each computer.
//
// Conditions and templates that need facts of the running computer are an error of kind ErrInvalid.
// Secrets are an error of kind ErrDenied, unless secrets is true: all users of the computer, and
// many of the cloud, can read user data.
func (p *Plan) UserData(facts Facts, secrets bool) ([]byte, error) {
	for _, b := range p.parts {
		if err := b.checkBootable(facts, secrets); err != nil {
			return nil, err
		}
	}
	steps, err := p.Render(facts)
	if err != nil {
		return nil, err
	}
	s := &remoteState{salt: newToken() + newToken()}
	out := cloudConfig{Merge: "list(append)+dict(no_replace,recurse_list)+str()"}
	var record, input strings.Builder
	var names []string
	for _, st := range steps {
		switch {
		case st.Skip != "":
		case st.Kind == KindKey:
			out.Keys = append(out.Keys, st.Key)
		case st.Kind == KindFile:
			f, err := cloudFileOf(st.Name, fmt.Sprintf("%04o", st.Mode), st)
			if err != nil {
				return nil, err
			}
			f.Owner = st.Owner
			out.Files = append(out.Files, f)
			fmt.Fprintf(&record, "file %s %s\n", s.fileSum(st), st.Name)
		default:
			names = append(names, fileName(st))
			input.WriteString(frame(st, s.scriptSum(st, steps), st.carryOn, 0, 0))
			if !inlined(st) {
				f, err := cloudFileOf(cloudDir+"/text-"+st.ID(), "0700", st)
				if err != nil {
					return nil, err
				}
				out.Files = append(out.Files, f)
			}
		}
	}
	if len(out.Files)+len(out.Keys)+len(names) > 0 {
		salt := &Step{Kind: KindFile, Text: "salt " + s.salt + "\n"}
		files := &Step{Kind: KindFile, Text: record.String()}
		more := map[string]*Step{cloudDir + "/salt": salt, cloudDir + "/files": files}
		if len(names) > 0 {
			more[cloudDir+"/first/input"] = &Step{Kind: KindFile, Text: "-\n" + strings.Join(names, " ") + "\n" + input.String()}
			more[cloudDir+"/first/run"] = &Step{Kind: KindFile, Text: cloudRun()}
			out.Run = [][]string{{"sh", cloudDir + "/first/run"}}
		}
		for _, name := range slices.Sorted(maps.Keys(more)) {
			f, err := cloudFileOf(name, "0600", more[name])
			if err != nil {
				return nil, err
			}
			out.Files = append(out.Files, f)
		}
	}
	text, err := json.MarshalIndent(out, "", "  ") // which is YAML too
	return append([]byte("#cloud-config\n"), append(text, '\n')...), err
}

// cloudDir is the directory of the record where root applies.
const cloudDir = "/var/lib/hostler/bundle"

// cloudRun runs the bundles' scripts at the first boot, with the same text as Apply and under the
// same lock.
func cloudRun() string {
	return "#!/bin/sh\n# Runs what hostler's bundles want at the first boot. What scripts print is in cloud-init's log.\n" +
		"S=" + cloudDir + "\ntrap 'rm -rf \"$S/first\"' 0\numask 077\nchmod 700 \"$S\"\n" +
		"sh -c " + shellWord(commonScript+lockScript+"shift\n"+sessionScript) +
		" hostler-bundle root /root \"$S\" first-boot-$$ 60 alone <\"$S/first/input\"\n"
}

// cloudConfig is the document for cloud-init.
type cloudConfig struct {
	Merge string      `json:"merge_how"`
	Keys  []string    `json:"ssh_authorized_keys,omitempty"`
	Files []cloudFile `json:"write_files,omitempty"`
	Run   [][]string  `json:"runcmd,omitempty"`
}

type cloudFile struct {
	Path        string `json:"path"`
	Permissions string `json:"permissions"`
	Owner       string `json:"owner,omitempty"`
	Encoding    string `json:"encoding"`
	Content     string `json:"content"`
}

// cloudLarge bounds a file's size: no cloud takes user data of that size.
const cloudLarge = 1 << 20

// cloudFileOf is a file with the content of a step, compressed.
func cloudFileOf(path, mode string, st *Step) (cloudFile, error) {
	f := cloudFile{Path: path, Permissions: mode, Encoding: "gz+b64"}
	if st.size > cloudLarge {
		return f, &compute.Error{
			Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("%s: it is too large for user data: %d bytes", st.Title(), st.size), Hint: "--via ssh",
		}
	}
	r, err := st.Open()
	if err != nil {
		return f, fmt.Errorf("%s: %w", st.Title(), err)
	}
	defer r.Close()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = io.Copy(w, r)
	if err = errors.Join(err, w.Close()); err != nil {
		return f, fmt.Errorf("%s: %w", st.Title(), err)
	}
	f.Content = base64.StdEncoding.EncodeToString(packed.Bytes())
	return f, nil
}

func shellWord(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

var factNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\.facts\.((?:tool\.|fact\.)?[\w-]+)`) })

// checkBootable refuses a bundle that needs facts which only the running computer has.
func (b *part) checkBootable(facts Facts, secrets bool) error {
	for _, c := range b.conditions() {
		if _, given := facts[c.Fact]; !given && (strings.HasPrefix(c.Fact, "tool.") || slices.Contains(inside, c.Fact) && c.Fact != "os") {
			return notAtBoot(b.File, b.Name, "when", fmt.Errorf("%s: what the computer says of itself is not known before it boots", c))
		}
	}
	for _, text := range b.texts() {
		if typ, _ := templateType(text); typ != "go-template" {
			continue
		}
		for _, m := range factNames().FindAllStringSubmatch(text, -1) {
			if facts[m[1]] == "" && m[1] != "os" {
				return notAtBoot(
					b.File, b.Name, "",
					fmt.Errorf("a template wants the fact %s, which is not known before the computer boots", m[1]),
				)
			}
		}
	}
	if len(b.secret) > 0 && !secrets {
		return &compute.Error{Kind: compute.ErrDenied, Hint: "--via ssh",
			Err: fmt.Errorf(
				"bundle %s: %s is a secret, and user data can be read by all who are on the computer, or may look at it in the cloud",
				b.Name, strings.Join(slices.Sorted(maps.Keys(b.secret)), ", "),
			)}
	}
	return nil
}

// notAtBoot is the error about a question to a computer that does not exist yet.
func notAtBoot(place, bundle, key string, err error) error {
	return &compute.Error{
		Kind: compute.ErrInvalid, Err: at(place, bundle, key, err),
		Hint: "deploy it by --via ssh, or render it with --fact NAME=VALUE",
	}
}

// conditions returns all conditions of a bundle.
func (b *part) conditions() []condition {
	out := slices.Clone(b.When)
	for _, s := range b.Scripts {
		out = append(out, s.When...)
	}
	for _, f := range b.Files {
		out = append(out, f.When...)
	}
	return out
}
