package hook

import (
	"bytes"
	"context"
	"crypto/md5" // SlapOS's, of which file was applied last
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/node/runas"
)

const (
	whitelistFile = ".slapos-whitelist-firewall"
	whitelistSum  = ".slapos-whitelist-firewall.md5sum"

	maxChain = 28 // characters of a chain's name
	commands = 30 * time.Second
)

// whitelist limits the IPv4 traffic of a partition's user to some addresses, and to answers to
// incoming connections.
func (h *Hooks) whitelist(ctx context.Context, p *partition) error {
	list, err := asked[string](p, whitelistFile)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		if _, err := p.home.Stat(whitelistSum); errors.Is(err, fs.ErrNotExist) {
			return nil // nothing is run for a partition that asks for nothing
		} else if err != nil {
			return err
		}
		return h.free(ctx, p)
	}
	if p.user == nil {
		return errors.New("only root can limit what a user may send")
	}
	wanted := make([]string, 0, len(list))
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			var one netip.Addr
			if one, err = netip.ParseAddr(text); err == nil {
				prefix = netip.PrefixFrom(one, one.BitLen())
			}
		}
		if err != nil || !prefix.Addr().Is4() {
			return fmt.Errorf("%s: %.100q is no IPv4 address", whitelistFile, text)
		}
		if text := prefix.Masked().String(); !slices.Contains(wanted, text) {
			wanted = append(wanted, text)
		}
	}
	slices.Sort(wanted)
	chain, err := p.chain()
	if err != nil {
		return err
	}
	jump := p.jump(chain)
	now, _ := h.tables(ctx, nil, "iptables", "-w", "-S", chain) // an error: it is not there
	_, linked := h.tables(ctx, nil, append([]string{"iptables", "-w", "-C"}, jump...)...)
	if linked != nil || !slices.Equal(accepted(now), wanted) {
		var rules bytes.Buffer
		fmt.Fprintf(&rules, "*filter\n:%s - [0:0]\n-A %s -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n", chain, chain)
		for _, address := range wanted {
			fmt.Fprintf(&rules, "-A %s -d %s -j ACCEPT\n", chain, address)
		}
		fmt.Fprintf(&rules, "-A %s -j REJECT\nCOMMIT\n", chain)
		if _, err := h.tables(ctx, rules.Bytes(), "iptables-restore", "-w", "--noflush"); err != nil {
			return err
		}
		if linked != nil {
			if _, err := h.tables(ctx, nil, append([]string{"iptables", "-w", "-I"}, jump...)...); err != nil {
				return err
			}
		}
		h.logf("%s: what its user sends goes to %s only", p.ID, strings.Join(wanted, ", "))
	}
	text, err := p.home.Read(whitelistFile, maxAsk)
	if err != nil {
		return err
	}
	sum := md5.Sum(text) // see above
	if line := []byte(hex.EncodeToString(sum[:])); !p.home.Same(whitelistSum, line, 0o644, uint32(os.Getuid()), uint32(os.Getgid())) {
		return p.home.WriteOur(whitelistSum, line, 0o644)
	}
	return nil
}

// free takes the limits away, if there are some. The partition's own files are not asked: the next
// instance there would have limits of which the last one has taken the trace away.
func (h *Hooks) free(ctx context.Context, p *partition) error {
	if p.user == nil {
		return nil
	}
	chain, err := p.chain()
	if err != nil {
		return err
	}
	if _, err := h.tables(ctx, nil, "iptables", "-w", "-S", chain); err == nil {
		for range maxMany { // as often as it is there
			if _, err := h.tables(ctx, nil, append([]string{"iptables", "-w", "-D"}, p.jump(chain)...)...); err != nil {
				break
			}
		}
		for _, verb := range []string{"-F", "-X"} {
			if _, err := h.tables(ctx, nil, "iptables", "-w", verb, chain); err != nil {
				return err
			}
		}
		h.logf("%s: what its user sends goes everywhere again", p.ID)
	}
	return p.home.Remove(whitelistSum)
}

// chain is the name of a partition's own chain.
func (p *partition) chain() (string, error) {
	name := p.ID + "-whitelist"
	if len(name) > maxChain || name[0] == '-' || strings.ContainsAny(name, " \t\r\n") {
		return "", fmt.Errorf("a chain of the firewall cannot be called %q: the partition's name is too long or begins with -", name)
	}
	return name, nil
}

// jump are the words of the rule that leads to the chain.
func (p *partition) jump(chain string) []string {
	return []string{"OUTPUT", "-m", "owner", "--uid-owner", fmt.Sprint(p.user.UID), "-j", chain}
}

// accepted are the addresses that a chain lets through, as iptables -S prints its rules.
func accepted(rules string) (all []string) {
	for line := range strings.Lines(rules) {
		words := strings.Fields(line)
		if i := slices.Index(words, "-d"); i >= 0 && i+1 < len(words) && slices.Contains(words, "ACCEPT") {
			all = append(all, words[i+1])
		}
	}
	slices.Sort(all)
	return all
}

// tables runs a firewall command, and returns its output.
func (h *Hooks) tables(ctx context.Context, input []byte, argv ...string) (string, error) {
	argv = append(slices.Clone(h.o.Prefix), argv...)
	path, err := exec.LookPath(argv[0])
	for _, dir := range []string{"/usr/sbin", "/sbin"} { // a cron's PATH need not have them
		if err != nil {
			path, err = exec.LookPath(filepath.Join(dir, argv[0]))
		}
	}
	if err != nil {
		return "", err
	}
	var out, said bytes.Buffer
	c := runas.Command{
		Argv: append([]string{path}, argv[1:]...), Dir: "/",
		Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, Input: input, Output: &out, Errors: &said,
		Limit: commands,
	}
	if err := runas.Run(ctx, c); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(said.String()))
	}
	return out.String(), nil
}
