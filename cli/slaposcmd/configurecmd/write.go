package configurecmd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/enrol"
	"github.com/hostler-project/hostler/slapos/proto"
)

// trusting returns the absolute path of a file with authorities, and an HTTP client that trusts
// them; "" and nil for the machine's own.
func trusting(ca string) (string, *http.Client, error) {
	if ca == "" {
		return "", nil, nil
	}
	if err := oneLine(ca); err != nil {
		return "", nil, fault.Invalid("", "--master-ca-file: %w", err)
	}
	ca, err := filepath.Abs(ca)
	if err != nil {
		return "", nil, err
	}
	text, err := os.ReadFile(ca)
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(text) {
		err = errors.New("there is no certificate in PEM in it")
	}
	if err != nil {
		return "", nil, fault.Invalid("ca.crt in the master's ca_directory is one", "--master-ca-file %s: %w", ca, err)
	}
	return ca, enrol.Client(&tls.Config{RootCAs: roots}), nil
}

// caLine returns the configuration's line with the authorities.
func caLine(ca string) string {
	if ca == "" {
		return ""
	}
	return "master_ca_file = " + percent(ca) + "\n"
}

// oneLine refuses a text of more than one line.
func oneLine(text string) error {
	if text == "" || strings.ContainsAny(text, "\n\r\x00") {
		return fmt.Errorf("%q cannot stand in a configuration file", text)
	}
	return nil
}

// percent escapes a value for a configuration file.
func percent(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// enrolError gives an error of enrol its kind.
func enrolError(err error) error {
	e := &compute.Error{Kind: compute.ErrFailed, Err: err}
	if errors.Is(err, enrol.ErrDenied) {
		e.Kind, e.Hint = compute.ErrDenied, "a token is good for once, and not for long: the master's web page gives another"
	}
	return e
}

// writeNew writes a file for the user alone, where none is yet.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// writeNode writes a node's files beside the directory, and moves them into place when all are
// written. Old files are moved to a name that it returns. The master's authorities in the file ca
// are copied too.
func writeNode(dir, file, config string, pair *proto.Certificate, ca string) (moved string, err error) {
	var authorities []byte
	if ca != "" {
		if authorities, err = os.ReadFile(ca); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	made, err := os.MkdirTemp(filepath.Dir(dir), ".slapos-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(made)
		}
	}()
	ssl := filepath.Join(made, "ssl")
	pki := filepath.Join(ssl, "partition_pki")
	// A partition's user finds its own key by name, but cannot list the directory (as with SlapOS's
	// own register).
	if err := errors.Join(os.MkdirAll(pki, 0o700), os.Chmod(ssl, 0o711), os.Chmod(pki, 0o711), writeNew(filepath.Join(ssl, "key"),
		pair.Key),
		writeNew(
			filepath.Join(ssl, "certificate"), pair.Certificate,
		), writeNew(filepath.Join(made, file), config), os.Chmod(made, 0o755)); err != nil {
		return "", err
	}
	if ca != "" {
		if err := writeNew(filepath.Join(ssl, "ca.crt"), string(authorities)); err != nil {
			return "", err
		}
	}
	for n := 0; ; n++ {
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to := dir + ".old"
		if n > 0 {
			to = fmt.Sprintf("%s.old.%d", dir, n)
		}
		if _, err := os.Lstat(to); err == nil {
			continue
		}
		if err := os.Rename(dir, to); err != nil {
			return "", err
		}
		moved = to
	}
	return moved, os.Rename(made, dir)
}

// settle writes a file, unless another text is there: ErrConflict.
func settle(path, text string, mode fs.FileMode) error {
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
	return writeNew(path, text)
}
