package kubernetes_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/hostler-project/hostler/remote/agent"
)

// place is a directory for what all tests share; TestMain makes and removes it.
var place string

// built builds hostler-agent, once.
var built = sync.OnceValues(func() (string, error) {
	path := filepath.Join(place, "hostler-agent")
	cmd := exec.Command("go", "build", "-o", path, "../../cmd/hostler-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return path, fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func program(t testing.TB) agent.Finder {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return func(arch string) (agent.Program, error) {
		if arch != runtime.GOARCH {
			return agent.Program{}, errors.New("none for " + arch)
		}
		return agent.Program{Path: path}, nil
	}
}
