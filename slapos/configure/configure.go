// Package configure writes the configuration files of SlapOS's users and computers.
package configure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
)

// caLine returns the configuration's line with the authorities.
func caLine(ca string) string {
	if ca == "" {
		return ""
	}
	return "master_ca_file = " + percent(ca) + "\n"
}

// OneLine refuses a text of more than one line.
func OneLine(text string) error {
	if text == "" || strings.ContainsAny(text, "\n\r\x00") {
		return fmt.Errorf("%q cannot stand in a configuration file", text)
	}
	return nil
}

// percent escapes a value for a configuration file.
func percent(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// WriteNew writes a file for the user alone, where none is yet.
func WriteNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// Settle writes a file, unless another text is there: ErrConflict.
func Settle(path, text string, mode fs.FileMode) error {
	was, err := os.ReadFile(path)
	if err == nil && string(was) == text {
		return nil
	} else if err == nil {
		return fault.Conflict("move it away first", "%s is there already, and says something else", path)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), mode); err != nil {
		return err
	}
	return WriteNew(path, text)
}

// Client is what a user's configuration says. Cert and Key are the files of the user's certificate;
// with none of them, the master identifies nobody.
type Client struct {
	Master, Rest string // URLs; Rest "" is unsaid
	CA           string // the file of the master's authorities; "": those of the machine
	Cert, Key    string
}

// Text returns the file of a client's configuration.
func (c *Client) Text() string {
	text := fmt.Sprintf("[slapos]\nmaster_url = %s\n", percent(c.Master))
	if c.Rest != "" {
		text += fmt.Sprintf("master_rest_url = %s\n", percent(c.Rest))
	}
	text += caLine(c.CA)
	if c.Cert != "" {
		text += fmt.Sprintf("\n[slapconsole]\ncert_file = %s\nkey_file = %s\n", percent(c.Cert), percent(c.Key))
	}
	return text + "# alias =\n#   NAME URL\n"
}
