package container

import (
	"archive/tar"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
)

// copyAgent puts our program into a container, at a path in its root directory.
func (m *maker) copyAgent(ctx context.Context, container string, s shape, path string) error {
	prog, err := m.p.o.Agent(cmp.Or(s.Arch, runtime.GOARCH))
	if err != nil {
		return err
	}
	if err := m.p.at("copy " + container); err != nil {
		return err
	}
	f, err := os.Open(prog.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := tar.NewWriter(w)
		err := t.WriteHeader(&tar.Header{Name: strings.TrimPrefix(path, "/"), Typeflag: tar.TypeReg, Mode: 0o755, Size: fi.Size()})
		if err == nil {
			_, err = io.Copy(t, f)
		}
		if err == nil {
			err = t.Close()
		}
		w.CloseWithError(err)
	}()
	resp, err := m.p.eng.call(ctx, http.MethodPut, "/containers/"+container+"/archive", url.Values{"path": {"/"}}, r, "application/x-tar")
	r.Close()
	<-done
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
