// Package provenance says what this program is made of, as the compiler has recorded it. It
// compares the modules with the sums of go.sum, and the embedded agents with the digests in their
// names.
package provenance

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime/debug"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host/version"
)

// Made is what `version --verify --json` prints.
type Made struct {
	Version  string    `json:"version"`
	Go       string    `json:"go"`
	OS       string    `json:"os"`
	Arch     string    `json:"arch"`
	SHA256   string    `json:"sha256"`
	Settings []Setting `json:"settings"`
	Modules  []Part    `json:"modules"`
	Agents   []Part    `json:"agents"`
	Verified bool      `json:"verified"`
}

// Setting is a build setting of the program.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Part is a module or an agent in the program.
type Part struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Sum     string `json:"sum"`
	Error   string `json:"error,omitempty"` // what is wrong with it; "": nothing
}

// Wrong returns how many parts are wrong.
func (m *Made) Wrong() (n int) {
	for _, p := range m.Parts() {
		if p.Error != "" {
			n++
		}
	}
	return n
}

// Parts returns the modules and the agents.
func (m *Made) Parts() []Part { return append(append([]Part{}, m.Modules...), m.Agents...) }

// Verify describes this program and checks it: its modules against sums, the text of a go.sum, and
// its agents against their digests and the program's own modules.
func Verify(sums string, agents fs.FS) (*Made, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, fault.Invalid("take one that was released, or made by make build", "this program does not say what it is made of")
	}
	own := version.Read()
	m := &Made{
		Version: own.Version, Go: own.Go, OS: own.OS, Arch: own.Arch, Settings: []Setting{},
		Modules: verifyModules(info, sumsOf(sums)), Agents: verifyAgents(agents, info),
	}
	var err error
	if m.SHA256, err = ownDigest(); err != nil {
		return nil, err
	}
	for _, s := range info.Settings {
		m.Settings = append(m.Settings, Setting{s.Key, s.Value})
	}
	m.Verified = m.Wrong() == 0
	return m, nil
}

// sumsOf parses a go.sum into the sums of modules, by "path@version".
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
func verifyModules(info *debug.BuildInfo, sums map[string]string) []Part {
	out := []Part{}
	for _, m := range info.Deps {
		p := Part{Name: m.Path, Version: m.Version, Sum: m.Sum}
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

// verifyAgents unpacks the embedded agents, and compares them with their digests and with the
// program's modules.
func verifyAgents(files fs.FS, info *debug.BuildInfo) []Part {
	out := []Part{}
	packed, _ := fs.Glob(files, "agents/*.gz")
	for _, name := range packed {
		p := Part{Name: strings.TrimSuffix(path.Base(name), ".gz")}
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

// readAgent returns the build information and the digest of a packed agent.
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

// differs returns how an agent's build differs from the program's; "": it does not.
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

// ownDigest returns the SHA-256 of this program's file.
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
