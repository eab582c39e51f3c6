package format

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/proto"
)

// ReadState reads an earlier run's record. A missing file is nil, and no error.
func ReadState(path string) (*Computer, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var c *Computer
	if err == nil {
		var v any
		if v, err = proto.Unmarshal(data); err == nil {
			c, err = readComputer(v)
		}
	}
	if err != nil {
		return nil, &compute.Error{Op: "format.ReadState", ID: compute.ID(path), Kind: compute.ErrInvalid, Err: err,
			Hint: "an older one may be in " + path + ".zip; without any, addresses are chosen anew: move the file away"}
	}
	return c, nil
}

// stateText is a computer's description as the state file has it: the value, laid out for reading.
func stateText(c *Computer) ([]byte, error) {
	text, err := proto.Marshal(c.Dictionary())
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	depth := 0
	for rest := string(text); rest != ""; {
		end := strings.IndexByte(rest, '>') + 1
		tag := rest[:end]
		switch holds := strings.HasPrefix(tag, "<dictionary") || strings.HasPrefix(tag, "<list") ||
			strings.HasPrefix(tag, "<tuple") || tag == "<marshal>"; {
		case strings.HasSuffix(tag, "/>"):
		case holds:
			line(&b, depth, tag)
			depth++
			rest = rest[end:]
			continue
		case strings.HasPrefix(tag, "</"):
			depth--
		default: // a leaf: its text stays as it is
			end += strings.IndexByte(rest[end:], '>') + 1
			tag = rest[:end]
		}
		line(&b, depth, tag)
		rest = rest[end:]
	}
	return b.Bytes(), nil
}

func line(b *bytes.Buffer, depth int, text string) {
	b.WriteString(strings.Repeat("  ", depth))
	b.WriteString(text)
	b.WriteByte('\n')
}

// definition is the description as a definition file.
func (c *Computer) definition() []byte {
	var b bytes.Buffer
	set := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s = %s\n", key, strings.ReplaceAll(value, "%", "%%"))
		}
	}
	b.WriteString("[computer]\n")
	if c.Address.IsValid() {
		set("address", c.Address.String())
	}
	set("software_user", c.SoftwareUser)
	for i := range c.Partitions {
		p := &c.Partitions[i]
		fmt.Fprintf(&b, "\n[partition_%d]\n", i)
		var all []string
		for _, a := range p.Addresses {
			length, _ := maskLength(a.Netmask)
			all = append(all, fmt.Sprintf("%s/%d", a.IP, length))
		}
		set("address", strings.Join(all, " "))
		set("pathname", filepath.Base(p.Path))
		set("user", p.User.Name)
		set("network_interface", p.Tap.Name)
		if p.Range.IsValid() {
			set("ipv6_range", p.Range.String())
		}
		set("capability_list", strings.Join(p.Capabilities, "\n  "))
		if p.Limits.Memory > 0 {
			set(memoryKey, fmt.Sprint(p.Limits.Memory))
		}
		if p.Limits.CPU > 0 {
			set(cpuKey, fmt.Sprint(p.Limits.CPU))
		}
		if p.Limits.PIDs > 0 {
			set(pidsKey, fmt.Sprint(p.Limits.PIDs))
		}
	}
	return b.Bytes()
}

// writeFile writes a file whole or not at all, and the directory that it is in.
func writeFile(path string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".hostler-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// archive adds a file to its archive, PATH.zip, by the time of its last change.
func archive(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if old, err := zip.OpenReader(path + ".zip"); err == nil {
		defer old.Close()
		for _, f := range old.File {
			if err := w.Copy(f); err != nil {
				return fmt.Errorf("%s.zip: %w", path, err)
			}
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s.zip: %w; move it away", path, err)
	}
	at := info.ModTime().UTC()
	f, err := w.CreateHeader(&zip.FileHeader{
		Name: filepath.Base(path) + "-" + at.Format("2006-01-02T15:04:05.000Z"), Method: zip.Deflate,
		Modified: at.Truncate(time.Second),
	})
	if err == nil {
		_, err = io.Copy(f, bytes.NewReader(data))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return writeFile(path+".zip", b.Bytes(), 0o644)
}
