package deployment

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/compute"
)

// KeyFile returns the path of a deployment's private key in the directory of keys.
func KeyFile(dir, name string) string { return filepath.Join(dir, "cloud-"+name) }

// keyPair makes the key pair, with its private half here. The public half has the mark as its
// comment.
func (w *work) keyPair(ctx context.Context) error {
	name, file := w.opt.Name, KeyFile(w.opt.Keys, w.opt.Name)
	got, err := keypairs.Get(ctx, w.cloud.Compute, name, nil).Extract()
	if err != nil && !isGone(err) {
		return failed("look for "+KeyPair, name, err)
	}
	there := err == nil
	here, err := readKey(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ours := there && w.ourKey(got.PublicKey, here)
	switch {
	case there && !ours:
		return &compute.Error{ID: compute.ID(name), Kind: compute.ErrConflict,
			Err:  errors.New("there is a key pair of this name that hostler did not make, and its private half is not here"),
			Hint: "take another name; hostler does not delete what it did not make"}
	case there && w.opt.RotateKey:
		if w.opt.DryRun {
			w.tell(WouldFix, KeyPair, name, name, "another key")
			return nil
		}
		// The private half comes first. If the process dies after it, the file fits the pair, or
		// the key pair is asked for again.
		if here, err = w.newKey(file); err != nil {
			return err
		}
		if err := keypairs.Delete(ctx, w.cloud.Compute, name, nil).ExtractErr(); err != nil && !isGone(err) {
			return failed("delete "+KeyPair, name, err)
		}
		return w.uploadKey(ctx, here, Repaired)
	case there && here == "":
		return &compute.Error{ID: compute.ID(name), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("the private half of its key pair is lost: %s is not there", file),
			Hint: "put the file back, or have another key made for new servers: hostler cloud deploy --rotate-key"}
	case there && !sameKey(got.PublicKey, here):
		return &compute.Error{ID: compute.ID(name), Kind: compute.ErrConflict,
			Err:  fmt.Errorf("the private key in %s is not that of its key pair", file),
			Hint: "put the right file back, or have another key made for new servers: hostler cloud deploy --rotate-key"}
	case there:
		w.rec.note(Thing{Kind: KeyPair, Name: name, ID: name, Made: true})
		w.tell(Found, KeyPair, name, name, "")
		return w.save(ctx)
	case w.opt.DryRun:
		w.tell(wouldMake, KeyPair, name, "", "")
		return nil
	}
	if here == "" {
		if here, err = w.newKey(file); err != nil {
			return err
		}
	}
	return w.uploadKey(ctx, here, Made)
}

// ourKey reports whether a key pair of the cloud is the deployment's: it has the mark, or its
// private half is here.
func (w *work) ourKey(public, here string) bool {
	return strings.HasSuffix(strings.TrimSpace(public), " "+w.keyComment()) || here != "" && sameKey(public, here)
}

func (w *work) keyComment() string {
	return strings.ReplaceAll(w.mark.text(), " ", ",") // a comment of ssh has no spaces
}

// uploadKey makes the key pair at the cloud from its public half.
func (w *work) uploadKey(ctx context.Context, public, did string) error {
	name := w.opt.Name
	w.rec.note(Thing{Kind: KeyPair, Name: name, Made: true})
	if err := w.save(ctx); err != nil {
		return err
	}
	if _, err := keypairs.Create(
		ctx, w.cloud.Compute, keypairs.CreateOpts{Name: name, PublicKey: public + " " + w.keyComment()},
	).Extract(); err != nil {
		if got, lookErr := keypairs.Get(ctx, w.cloud.Compute, name, nil).Extract(); lookErr != nil || !sameKey(got.PublicKey, public) {
			return failed("make "+KeyPair, name, err)
		} // otherwise another process was faster
	}
	w.rec.note(Thing{Kind: KeyPair, Name: name, ID: name, Made: true})
	w.tell(did, KeyPair, name, name, "")
	return w.save(ctx)
}

// newKey makes a private key in a file of mode 0600, and returns its public half. The file is
// durable then. A previous file is kept as FILE.old.
func (w *work) newKey(file string) (public string, err error) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, w.opt.Name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", keyError(err)
	}
	if err := writeDurably(file, pem.EncodeToMemory(block)); err != nil {
		return "", keyError(err)
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", err
	}
	return authorized(key), nil
}

func keyError(err error) error {
	return &compute.Error{Op: "write the private key", Kind: compute.ErrFailed, Err: err}
}

// writeDurably writes a file of mode 0600 atomically.
func writeDurably(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".key-") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // not needed any more, or renamed
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(file, file+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readKey returns the public half of the private key in a file. It is an error if others than the
// owner can read the file.
func readKey(file string) (public string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", &compute.Error{
			Kind: compute.ErrInvalid,
			Err:  fmt.Errorf("%s: others than its owner can read this private key: mode %04o", file, info.Mode().Perm()),
			Hint: "chmod 600 " + file,
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	signer, err := ssh.ParsePrivateKey(data)
	if err != nil {
		return "", &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: not a private key: %w", file, err),
			Hint: "put the right file back, or remove it and use --rotate-key",
		}
	}
	return authorized(signer.PublicKey()), nil
}

// authorized returns a public key in ssh's form, without a comment.
func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

// sameKey compares public keys in ssh's form. Comments do not count.
func sameKey(a, b string) bool {
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(a))
	return err == nil && authorized(key) == b
}
