//go:build unix

package kubernetes

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
)

// TestFitWaitsForNoFile: while the configuration is read from where nothing answers, nobody waits
// who asks inside of a transaction of the store whether a pod is fit: all others of the store would
// wait behind him.
func TestFitWaitsForNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	p := opened(t, Options{Kubeconfig: file, Namespace: "ns", Image: "i"})
	asked := make(chan error, 1)
	go func() {
		_, err := p.c.ask()
		asked <- err
	}()
	f, err := os.OpenFile(file, os.O_WRONLY, 0) // once somebody reads
	if err != nil {
		t.Fatal(err)
	}
	fit := make(chan bool, 1)
	go func() {
		at := kubeconfig.Place{Server: "https://127.0.0.1:1", Authority: kubeconfig.Unknown, Namespace: "ns"}
		fit <- p.Fit("web-1", identity{Place: at, uid: kubeconfig.Unknown}.String())
	}()
	select {
	case known := <-fit:
		if known {
			t.Error("it is known to be fit")
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for the file")
	}
	text := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], ` +
		`clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]}`
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close(), <-asked); err != nil {
		t.Error(err)
	}
}
