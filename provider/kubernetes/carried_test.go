package kubernetes_test

import (
	"bytes"
	"testing"

	"github.com/hostler-project/hostler/compute"
)

// TestAgentImageLater: pods that were made before their source had agent-image are entered as
// before: what is in use is not replaced.
func TestAgentImageLater(t *testing.T) {
	t.Parallel()
	o := site(t)
	ready(t, open(t, o), "suite-1")
	o.AgentIn = "agent:1"
	var out bytes.Buffer
	exit, err := enter(t, open(t, o), "suite-1").Run(t.Context(), &compute.Command{Args: []string{"echo", "here"}, Stdout: &out})
	if err != nil || exit.Code != 0 || out.String() != "here\n" {
		t.Errorf(
			"exit = %+v, out = %q, err = %v"+
				"; want no error and exit.Code == 0 and out.String() == \"here\\n\"",
			exit, out.String(), err,
		)
	}
}
