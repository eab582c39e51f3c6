package run

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// interpreter returns the program of a script's first line and its argument, else sh. So the script
// needs no execute permission.
func interpreter(script []byte) []string {
	line, _, _ := strings.Cut(string(script[:min(len(script), 512)]), "\n")
	rest, ok := strings.CutPrefix(line, "#!")
	if rest = strings.TrimSpace(rest); !ok || rest == "" {
		return []string{"sh"}
	}
	program, arg, _ := strings.Cut(rest, " ")
	if arg = strings.TrimSpace(arg); arg != "" {
		return []string{program, arg} // one argument, as in the kernel
	}
	return []string{program}
}

// putScript copies the script to a directory of its own on the instance, and makes the command run
// it. remove deletes the directory.
func (r *Runner) putScript(ctx context.Context, conn compute.Conn, cmd *compute.Command) (remove func(), err error) {
	dir, remove, err := PutFile(ctx, conn, cmd.User, r.ScriptName, r.Script)
	if e, ok := errors.AsType[*compute.Error](err); ok && e.ID == "" {
		e.ID = r.Session.Instance.ID
	}
	if err != nil {
		return nil, err
	}
	cmd.Args = append(append(interpreter(r.Script), path.Join(dir, r.ScriptName)), cmd.Args...)
	return remove, nil
}

// PutFile copies an executable file to a new directory on the instance that belongs to the user.
// remove deletes the directory.
func PutFile(ctx context.Context, conn compute.Conn, user, name string, data []byte) (dir string, remove func(), err error) {
	var out, said bytes.Buffer
	exit, err := conn.Run(
		ctx,
		&compute.Command{
			Args: []string{"sh", "-c", `umask 077; mktemp -d "${TMPDIR:-/tmp}/hostler-XXXXXXXX"`}, User: user,
			Stdout: &out, Stderr: &said, Aside: true,
		},
	)
	dir = strings.TrimSuffix(out.String(), "\n")
	if err == nil && (exit.Status() != 0 || !path.IsAbs(dir)) {
		err = &compute.Error{
			Op: "copy " + name, Kind: compute.ErrCannotStart,
			Err: errors.New("no directory can be made for it there: " + strings.Join(strings.Fields(said.String()), " ")),
		}
	}
	if err != nil {
		return "", nil, err
	}
	remove = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		// on failure it stays until the instance ends
		_, _ = conn.Run(ctx, &compute.Command{Args: []string{"rm", "-rf", "--", dir}, User: user, Aside: true})
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(data)), ModTime: time.Now()})
	if err == nil {
		_, err = w.Write(data)
	}
	if err = errors.Join(err, w.Close()); err == nil {
		err = conn.Put(ctx, dir, &archive)
	}
	if err != nil {
		remove()
		return "", nil, err
	}
	return dir, remove, nil
}
