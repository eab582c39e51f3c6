package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strings"

	"github.com/hostler-project/hostler"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/version"
)

// verifiedView is what `version --verify --json` prints.
type verifiedView struct {
	Version  string         `json:"version"`
	Go       string         `json:"go"`
	OS       string         `json:"os"`
	Arch     string         `json:"arch"`
	SHA256   string         `json:"sha256"`
	Settings []settingMade  `json:"settings"`
	Modules  []verifiedPart `json:"modules"`
	Agents   []verifiedPart `json:"agents"`
	Verified bool           `json:"verified"`
}

// settingMade is a setting that a program was built with.
type settingMade struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// verifiedPart is a module or an agent that is part of the program.
type verifiedPart struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Sum     string `json:"sum"`
	Error   string `json:"error,omitempty"` // what is wrong with it
}

// verifyVersion says what this program is made of, and compares it with what it should be: modules
// with the sums of go.sum, the agents with the digests that they were packed with and with the
// modules of the program. sums is a file in place of the go.sum of the build.
func verifyVersion(a *cli.App, sums string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return fault.Invalid("take one that was released, or made by make build", "this program does not say what it is made of")
	}
	known := hostler.Sums
	if sums != "" {
		text, err := os.ReadFile(sums)
		if err != nil {
			return fault.Invalid("", "--sums: %w", err)
		}
		known = string(text)
	}
	made := version.Read()
	v := verifiedView{
		Version: made.Version, Go: made.Go, OS: made.OS, Arch: made.Arch, Settings: []settingMade{},
		Modules: verifyModules(info, sumsOf(known)), Agents: verifyAgents(host.Agents, info),
	}
	var err error
	if v.SHA256, err = ownDigest(); err != nil {
		return err
	}
	for _, s := range info.Settings {
		v.Settings = append(v.Settings, settingMade{s.Key, s.Value})
	}
	wrong := 0
	for _, p := range append(append([]verifiedPart{}, v.Modules...), v.Agents...) {
		if p.Error != "" {
			wrong++
		}
	}
	v.Verified = wrong == 0
	if a.JSON {
		err = a.PrintJSON(v)
	} else {
		err = showVerified(a, v)
	}
	if wrong > 0 {
		err = errors.Join(
			err,
			fault.Conflict(
				"take one that was released, or made by make build", "not as it should be: %s of this program",
				term.Counted(wrong, "part"),
			),
		)
	}
	return err
}

// showVerified prints it for people.
func showVerified(a *cli.App, v verifiedView) error {
	if err := term.Printf(a.Out, "%s\nsha256 %s\n", version.Line(), v.SHA256); err != nil {
		return err
	}
	for _, s := range v.Settings {
		if err := term.Printf(a.Out, "%s=%s\n", s.Key, s.Value); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, p := range append(append([]verifiedPart{}, v.Modules...), v.Agents...) {
		state := "ok"
		if p.Error != "" {
			state = p.Error
		}
		rows = append(rows, []string{p.Name, p.Version, p.Sum, state})
	}
	if err := term.Table(a.Out, []string{"part", "version", "sum", "state"}, rows); err != nil || !v.Verified {
		return err // the error that follows says how many are not
	}
	return term.Printf(
		a.Out, "verified: %s and %s are as they should be\n", term.Counted(len(v.Modules), "module"),
		term.Counted(len(v.Agents), "agent"),
	)
}

// sumsOf reads a go.sum: the sums of modules by path and version.
func sumsOf(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 3 && !strings.HasSuffix(words[1], "/go.mod") {
			out[words[0]+"@"+words[1]] = words[2]
		}
	}
	return out
}

// verifyModules compares the modules of a program with sums.
func verifyModules(info *debug.BuildInfo, sums map[string]string) []verifiedPart {
	out := []verifiedPart{}
	for _, m := range info.Deps {
		p := verifiedPart{Name: m.Path, Version: m.Version, Sum: m.Sum}
		switch want := sums[m.Path+"@"+m.Version]; {
		case m.Replace != nil:
			p.Error = "replaced by " + m.Replace.Path + " " + m.Replace.Version
		case want == "":
			p.Error = "go.sum does not have it"
		case m.Sum != want:
			p.Error = "go.sum has " + want
		}
		out = append(out, p)
	}
	return out
}

// verifyAgents unpacks the agents that are part of a program, and compares them with their digests
// and with what the program is made of.
func verifyAgents(files fs.FS, info *debug.BuildInfo) []verifiedPart {
	out := []verifiedPart{}
	packed, _ := fs.Glob(files, "agents/*.gz")
	for _, name := range packed {
		p := verifiedPart{Name: strings.TrimSuffix(path.Base(name), ".gz")}
		words := strings.Split(p.Name, "-") // linux, ARCH, SIZE, DIGEST
		p.Name = "agent"
		if len(words) == 4 {
			p.Name, p.Sum = "agent "+words[0]+"/"+words[1], words[3]
		}
		made, digest, err := readAgent(files, name)
		switch {
		case err != nil:
			p.Error = err.Error()
		case digest != p.Sum:
			p.Error = "its digest is " + digest
		default:
			p.Version, p.Error = made.Main.Version, differs(made, info)
		}
		out = append(out, p)
	}
	return out
}

// readAgent reads what a packed agent is made of, and its digest.
func readAgent(files fs.FS, name string) (*debug.BuildInfo, string, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, "", err
	}
	text, err := io.ReadAll(io.LimitReader(z, 64<<20))
	if err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(text)
	made, err := buildinfo.Read(bytes.NewReader(text))
	if err != nil {
		return nil, "", fmt.Errorf("it does not say what it is made of: %w", err)
	}
	return made, hex.EncodeToString(sum[:]), nil
}

// differs says in what an agent is made otherwise than the program that has it; "": in nothing.
func differs(made, of *debug.BuildInfo) string {
	own := map[string]string{}
	for _, m := range of.Deps {
		own[m.Path] = m.Version + " " + m.Sum
	}
	if made.GoVersion != of.GoVersion {
		return "made by " + made.GoVersion + ", and the program by " + of.GoVersion
	}
	for _, m := range made.Deps {
		if has, ok := own[m.Path]; ok && has != m.Version+" "+m.Sum {
			return m.Path + " " + m.Version + ", and the program has " + has
		}
	}
	return ""
}

// ownDigest is that of this program's file.
func ownDigest() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
