package configure

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/slapos/proto"
)

// Node is what the slapos.cfg of a registered computer says.
type Node struct {
	Master              string // a URL
	Software, Instances string // directories
	CA                  string // the file of the master's authorities; "": those of the machine
	Interface, Network  string // the partitions' addresses are on it, and in it
	Partitions          int
	Tap                 bool // each partition has a network interface of its own
}

// WriteNode writes a node's files beside the directory, and moves them into place when all are
// written. Old files are moved to a name that it returns. The master's authorities in the file ca
// are copied too.
func WriteNode(dir, file, config string, pair *proto.Certificate, ca string) (moved string, err error) {
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
	if err := errors.Join(
		os.MkdirAll(pki, 0o700), os.Chmod(ssl, 0o711), os.Chmod(pki, 0o711),
		WriteNew(filepath.Join(ssl, "key"), pair.Key), WriteNew(filepath.Join(ssl, "certificate"), pair.Certificate),
		WriteNew(filepath.Join(made, file), config), os.Chmod(made, 0o755),
	); err != nil {
		return "", err
	}
	if ca != "" {
		if err := WriteNew(filepath.Join(ssl, "ca.crt"), string(authorities)); err != nil {
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

// Text returns the slapos.cfg of a computer, with what is beside it in a directory.
func (o *Node) Text(dir, id string) string {
	ssl, ca := filepath.Join(dir, "ssl"), ""
	if o.CA != "" {
		ca = filepath.Join(ssl, "ca.crt")
	}
	return fmt.Sprintf(`[slapos]
software_root = %s
instance_root = %s
master_url = %s
computer_id = %s
key_file = %s
cert_file = %s
certificate_repository_path = %s
%s
[slapformat]
computer_xml = /opt/slapos/slapos.xml
partition_amount = %d
partition_base_name = slappart
user_base_name = slapuser
tap_base_name = slaptap
interface_name = %s
ipv4_local_network = %s
create_tap = %t
`, percent(o.Software), percent(o.Instances), percent(o.Master), id,
		percent(ssl+"/key"), percent(ssl+"/certificate"), percent(ssl+"/partition_pki"), caLine(ca),
		o.Partitions, percent(o.Interface), percent(o.Network), o.Tap)
}
