package resource_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/compute/computetest"
	"github.com/hostler-project/hostler/controller/resource"
	"github.com/hostler-project/hostler/store/postgres/pgtest"
)

// TestNoKinds has a controller say what to do where the cluster does not know our kinds, and go on
// when it does.
func TestNoKinds(t *testing.T) {
	s := newSite(t, "none")
	defer define(t) // so that the site can be taken away, whatever happens
	lab.Ctl(t, "", "delete", "crd", "leases."+resource.Group)
	c := s.serve()
	computetest.Eventually(t, "it says what to do", func() error {
		if text := c.log.String(); !strings.Contains(text, "this cluster has no leases."+resource.Group) ||
			!strings.Contains(text, "hostler docs crds | kubectl apply -f -") {
			return errors.New(text)
		}
		return nil
	})
	define(t)
	s.lease("one", `{"source":"web"}`)
	s.phase("one", "Leased")
	s.away("one")
	s.gone("one")
	s.held(0)
}

// TestLife follows leases from their objects' making to their end.
func TestLife(t *testing.T) {
	t.Parallel()
	s := newSite(t, "life")
	s.serve()
	s.lease("one", `{"source":"web","token":true,"labels":{"for":"test"},"purpose":"tests","ttl":"2h"}`)
	s.lease("two", `{"source":"web"}`)
	one, two := s.phase("one", "Leased"), s.phase("two", "Leased")
	st := one.Status
	switch {
	case len(one.Status.Conditions) != 1 || st.Conditions[0].Type != "Leased" || st.Conditions[0].Status != "True":
		t.Errorf("its conditions are %+v", st.Conditions)
	case st.Holder != "kubernetes:life" || st.Generation == 0 || st.Given == nil || st.Expires == nil ||
		two.Status.Run != "hostler run --any "+two.Status.Instance+" -- COMMAND":
		t.Errorf("its status is %+v", st)
	case two.Status.Secret != "":
		t.Error("a token was made that nobody asked for")
	}
	if got := s.leases(); got[st.Instance] != "kubernetes:life" || got[two.Status.Instance] != "kubernetes:life" || len(got) != 2 {
		t.Errorf("the leases are %v", got)
	}
	var secret struct {
		Metadata struct {
			OwnerReferences []struct{ UID string }
		}
		Data map[string]string
	}
	if err := json.Unmarshal([]byte(lab.Ctl(t, "", "get", "secret", "-n", s.namespace, st.Secret, "-o", "json")), &secret); err != nil {
		t.Fatal(err)
	}
	token, _ := base64.StdEncoding.DecodeString(secret.Data["token"])
	if len(secret.Metadata.OwnerReferences) != 1 || secret.Metadata.OwnerReferences[0].UID != string(one.UID) || len(token) < 20 {
		t.Errorf("the secret is %+v", secret.Metadata)
	}
	s.more = []string{"HOSTLER_TOKEN=" + string(token)}
	if out := s.hostler("run", st.Instance, "--", "echo", "in"); out != "in\n" ||
		!strings.HasPrefix(st.Run, "HOSTLER_TOKEN=$(kubectl get secret -n life "+st.Secret) {
		t.Errorf("%s prints %q", st.Run, out)
	}
	s.more = nil

	// There is no third: it waits, and says so.
	s.lease("three", `{"source":"web"}`)
	if three := s.phase("three", "Waiting"); three.Status.Place != 1 || three.Status.Conditions[0].Status != "False" {
		t.Errorf("it waits so: %+v", three.Status)
	}
	s.away("one")
	s.gone("one")
	three := s.phase("three", "Leased").Status
	if len(three.Steps) == 0 || three.Steps[0].Phase != "wait" || three.Steps[0].Seconds <= 0 {
		t.Errorf("its steps are %v", three.Steps)
	}

	// What ends in hostler has ended here.
	s.hostler("release", "-f", "--any", three.Instance)
	if over := s.phase("three", "Ended").Status; over.Reason == "" || over.Ended == nil ||
		over.Conditions[0].Status != "False" || over.Run != "" {
		t.Errorf("it ended so: %+v", over)
	}
	s.away("three")
	s.gone("three")
	s.away("two")
	s.gone("two")
	s.held(0)

	// The audit log names the objects.
	var log struct {
		Acts []struct{ Who, Via, Act, Reason, Thing string }
	}
	computetest.Eventually(t, "the audit log has it", func() error {
		s.get("/v1/audit?who=kubernetes:life", &log)
		var seen []string
		for _, a := range log.Acts {
			seen = append(seen, a.Via+" "+a.Act+" "+a.Reason)
		}
		for _, want := range []string{
			"kubernetes acquire Lease life/one: tests", "kubernetes acquire Lease life/two",
			"kubernetes give-up Lease life/one",
		} {
			if !slices.Contains(seen, want) {
				return fmt.Errorf("%s is not in %q", want, seen)
			}
		}
		return nil
	})
}

// TestWrong has objects say what is wrong with them, and be served when it is mended.
func TestWrong(t *testing.T) {
	t.Parallel()
	s := newSite(t, "wrong")
	s.source("single", "type = fake\nmaximum = 1\n")
	s.serve()
	s.lease("holds", `{"source":"single"}`)
	s.phase("holds", "Leased")
	s.lease("early", `{"source":"later"}`)
	s.lease("own", `{"source":"local"}`)
	s.lease("short", `{"source":"single","wait":"0"}`)
	for name, want := range map[string]string{
		"early": "NotFound: later: not found: no such source",
		"own":   "Denied: local: permission denied: it shows the files of the controller's own user",
	} {
		o := s.phase(name, "Waiting")
		computetest.Eventually(t, "it says what is wrong", func() error {
			o, _ = s.object(name)
			if len(o.Status.Conditions) == 0 ||
				!strings.HasPrefix(o.Status.Conditions[0].Reason+": "+o.Status.Conditions[0].Message, want) {
				return fmt.Errorf("%s: %+v", name, o.Status.Conditions)
			}
			return nil
		})
	}
	s.phase("short", "Ended")
	s.source("later", "type = fake\n")
	s.hostler("reload")
	s.phase("early", "Leased")
	for _, name := range []string{"early", "own", "short", "holds"} {
		s.away(name)
		s.gone(name)
	}
	s.held(0)
}

// TestAway has objects change while no controller runs.
func TestAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, "away")
	c := s.serve()
	s.lease("stays", `{"source":"web"}`)
	s.lease("goes", `{"source":"web"}`)
	stays := s.phase("stays", "Leased").Status
	s.phase("goes", "Leased")
	c.stop()
	s.away("goes")
	s.lease("comes", `{"source":"web"}`)
	if _, ok := s.object("goes"); !ok {
		t.Fatal("an object is gone whose lease lives")
	}
	c = s.serve()
	s.gone("goes")
	s.phase("comes", "Leased")
	if now, _ := s.object("stays"); now.Status.Lease != stays.Lease {
		t.Errorf("what stays had the lease %s, and has %s", stays.Lease, now.Status.Lease)
	}
	s.held(2)

	// Somebody has taken the finalizer away: the lease is found all the same.
	c.kill()
	s.away("comes")
	lab.Ctl(t, "", "patch", "leases."+resource.Group, "-n", s.namespace, "comes", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	s.gone("comes")
	s.serve()
	s.held(1)
}

// TestKilled kills the controller at each step of a lease's life. The next one goes on, and there
// is never a second lease.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, step := range []string{
		"lease:finalizer", "lease:acquire", "acquire:recorded", "lease:acquired", "lease:secret", "lease:told",
		"lease:giving-up", "lease:returned",
	} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, "killed-"+strings.ReplaceAll(step, ":", "-"))
			s.lease("one", `{"source":"web","token":true}`)
			c := s.serve("HOSTLER_DIE=" + step)
			ending := step == "lease:giving-up" || step == "lease:returned"
			if ending {
				s.phase("one", "Leased")
				s.away("one")
			}
			computetest.Eventually(t, "it is killed", func() error {
				select {
				case <-c.ended:
					return nil
				default:
					return errors.New("it lives")
				}
			})
			if code := c.cmd.ProcessState.String(); code != "signal: killed" {
				t.Fatalf("it ended with %s", code)
			}
			s.serve()
			if !ending {
				o := s.phase("one", "Leased")
				if got := s.leases(); len(got) != 1 || got[o.Status.Instance] != "kubernetes:"+s.namespace {
					t.Errorf("the leases are %v", got)
				}
				if text := lab.Ctl(
					t, "", "get", "secrets", "-n", s.namespace, "-o", "name",
				); strings.TrimSpace(text) != "secret/"+o.Status.Secret {
					t.Errorf("the secrets are %q", text)
				}
				s.away("one")
			}
			s.gone("one")
			s.held(0)
		})
	}
}

// TestReplicas has one of two controllers do what objects ask for, and the other go on when that is
// killed.
func TestReplicas(t *testing.T) {
	t.Parallel()
	url := pgtest.Start(t).Database(t)
	first := newSite(t, "several", "[store]", "url = "+url)
	second := *first
	second.dir = t.TempDir()
	second.sock = filepath.Join(filepath.Dir(first.sock), "t")
	if err := os.CopyFS(second.dir, os.DirFS(first.dir)); err != nil {
		t.Fatal(err)
	}
	const doing = "doing what objects of Kubernetes ask for"
	a := first.serve()
	computetest.Eventually(t, "the first one acts", func() error { return says(a, doing) })
	b := second.serve()
	first.lease("one", `{"source":"web"}`)
	one := first.phase("one", "Leased").Status
	first.lease("two", `{"source":"web"}`)
	first.phase("two", "Leased")
	first.lease("three", `{"source":"web"}`)
	first.phase("three", "Waiting")
	second.held(2)
	if says(b, doing) == nil {
		t.Fatal("both act")
	}
	a.kill()
	computetest.Eventually(t, "the second one acts", func() error { return says(b, doing) })
	first.away("two")
	first.gone("two")
	second.phase("three", "Leased")
	if now, _ := second.object("one"); now.Status.Lease != one.Lease || now.Status.Phase != "Leased" {
		t.Errorf("the first lease was %s, and is %s", one.Lease, now.Status.Lease)
	}
	second.held(2)
}

func says(c *serving, text string) error {
	if !strings.Contains(c.log.String(), text) {
		return errors.New(c.log.String())
	}
	return nil
}

// TestShown has leases that were made otherwise shown as objects, some of them, for as long as they
// live.
func TestShown(t *testing.T) {
	t.Parallel()
	s := newSite(t, "shown")
	s.file("hostler.conf", "[resources]\nnamespaces = shown\nshow = 1\nkubeconfig = "+s.kubeconfig+"\n")
	s.serve()
	s.held(0)
	instance := strings.TrimSpace(s.hostler("acquire", "-s", "web"))
	s.lease("mine", `{"source":"web"}`)
	s.phase("mine", "Leased")
	var name string
	computetest.Eventually(t, "it is shown", func() error {
		for object := range strings.FieldsSeq(lab.Ctl(
			t, "", "get", "leases."+resource.Group, "-n", s.namespace, "-l", resource.Group+"/shown", "-o", "name",
		)) {
			name = strings.TrimPrefix(object, "lease."+resource.Group+"/")
			if o, _ := s.object(name); o.Status.Instance == instance && o.Status.Phase == "Leased" {
				return nil
			}
		}
		return errors.New("it is not")
	})
	if got := slices.Sorted(maps.Keys(s.leases())); len(got) != 2 {
		t.Errorf("the leases are %v", got)
	}
	s.hostler("release", instance)
	s.gone(name)
	s.held(1)
}

// TestServerAway has the API server away for a while: leases live on, and what was asked for
// meanwhile is done.
func TestServerAway(t *testing.T) {
	s := newSite(t, "server-away")
	s.serve()
	s.lease("one", `{"source":"web"}`)
	one := s.phase("one", "Leased").Status
	lab.Stop(t, "apiserver")
	s.hostler("release", "-f", "--any", one.Instance)
	if err := lab.Up(); err != nil {
		t.Fatal(err)
	}
	s.phase("one", "Ended")
	s.lease("two", `{"source":"web"}`)
	s.phase("two", "Leased")
	s.away("two")
	s.gone("two")
}
