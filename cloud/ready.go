package cloud

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// sentinel is the file that says that a server has booted.
const sentinel = "/tmp/.hostler-booted"

// userData is the boot script of a new server. It allows sudo for the user, without a terminal, and
// sharing of FUSE mounts. It allows SysRq, which flushes disks. Last it makes the sentinel.
const userData = `#!/bin/sh
[ -f /etc/sudoers ] && sed -i -e 's/^\(Defaults.*requiretty\)/# \1/' /etc/sudoers
if [ -f /etc/fuse.conf ]; then
	sed -i -e 's/^# *user_allow_other/user_allow_other/' /etc/fuse.conf
	grep -q '^user_allow_other' /etc/fuse.conf || echo user_allow_other >>/etc/fuse.conf
	chmod 644 /etc/fuse.conf
fi
[ -w /etc/sysctl.d ] && echo 'kernel.sysrq = 176' >/etc/sysctl.d/90-hostler.conf
: >` + sentinel + `
chmod 666 ` + sentinel + `
exit 0
`

// booted succeeds once a server has booted: the sentinel is there, or cloud-init says that it is
// done.
const booted = `[ -e ` + sentinel + ` ] && exit 0
command -v cloud-init >/dev/null 2>&1 || exit 1
case $(cloud-init status 2>/dev/null) in *done*|*disabled*|*error*|*degraded*) exit 0;; esac
exit 1`

// WaitUntilReady waits until it can log in to the server and the server has booted. Then it copies
// files and runs the script, if there is one, as the server's user. Connections are opened anew
// after the script, since it may change what a login finds. On an error the server stays for
// inspection; the caller destroys it.
func (s *Server) WaitUntilReady(ctx context.Context, files []File, script string) error {
	ended, err := s.shell.use("WaitUntilReady")
	if err != nil {
		return err
	}
	defer ended()
	err = s.setup.run(ctx, files, script)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		err = fmt.Errorf("waiting for ready was cancelled: %w", err)
	}
	if s.c == nil {
		return err
	}
	// the end of the server's console may say why
	ctx, cancel := context.WithTimeout(s.c.ctx, s.c.t.Dial)
	defer cancel()
	return s.c.withConsole(ctx, s.ending.r, err)
}

// setup makes a new server ready: it waits for the boot, copies files and runs a script.
type setup struct {
	told  bool // the boot script makes the sentinel
	t     Timers
	shell *shell
	files *files
}

// run waits for the server to connect and boot, copies the files and runs the script, if any. It
// disconnects at the end, so that later calls log in anew.
func (s *setup) run(ctx context.Context, files []File, script string) error {
	if _, err := s.shell.line.connect(ctx); err != nil {
		return fmt.Errorf("never became ready to use: %w", err)
	}
	if s.told {
		if err := s.waitBooted(ctx); err != nil {
			return err
		}
	}
	if err := s.files.copyOver(ctx, files); err != nil {
		return fmt.Errorf("files failed to upload: %w", err)
	}
	if script != "" {
		if err := s.runScript(ctx, script); err != nil {
			return fmt.Errorf("script failed: %w", err)
		}
	}
	return s.shell.line.disconnect()
}

// waitBooted waits until the server says that it has booted, for t.Boot at most. It then removes
// the sentinel file; a failure of that is ignored.
func (s *setup) waitBooted(ctx context.Context) error {
	began := time.Now()
	for {
		_, _, err := s.shell.run(ctx, "WaitUntilReady", &compute.Command{Args: []string{"sh", "-c", booted}})
		var exit *ExitError
		if err == nil {
			break
		}
		if !errors.As(err, &exit) && (ctx.Err() != nil || !s.shell.life.living()) {
			return err
		}
		if time.Since(began) >= s.t.Boot {
			return s.shell.line.fail(
				"WaitUntilReady", compute.ErrTimeout,
				fmt.Errorf("never became ready to use: it did not finish booting within %v: %w", s.t.Boot, err),
			)
		}
		if err := sleep(ctx, s.t.Poll); err != nil {
			return err
		}
	}
	_, _, _ = s.shell.run(
		ctx, "WaitUntilReady",
		&compute.Command{Args: []string{"sh", "-c", "rm -f " + sentinel + " 2>/dev/null || sudo -n rm -f " + sentinel}},
	)
	return nil
}

// runScript copies a script to the server, runs it and removes it.
func (s *setup) runScript(ctx context.Context, script string) error {
	limited, cancel := context.WithTimeout(ctx, s.t.Script)
	defer cancel()
	// The script comes by standard input into a file that mktemp makes, so no other user can have
	// made it.
	const run = `umask 077; f=$(mktemp "${TMPDIR:-/tmp}/hostler-script.XXXXXX") && cat >"$f" && chmod 700 "$f" || exit 1
"$f" </dev/null; s=$?; rm -f -- "$f"; exit $s`
	_, stderr, err := s.shell.run(limited, "Script", &compute.Command{Args: []string{"sh", "-c", run}, Stdin: reader(script)})
	var exit *ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && limited.Err() != nil:
		return s.shell.line.fail(
			"Script", compute.ErrTimeout, fmt.Errorf("failed to complete within %v\nSTDERR:\n%s", s.t.Script, tail(stderr)),
		)
	case errors.As(err, &exit):
		return s.shell.line.fail(
			"Script", compute.ErrFailed,
			fmt.Errorf("it ended with status %d\nSTDERR:\n%s: %w", exit.Exit.Status(), tail(stderr), exit),
		)
	}
	return err
}
