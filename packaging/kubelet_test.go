package packaging_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pod is what a kubelet reads of one.
type pod struct {
	Metadata struct {
		Name, Namespace string
		Annotations     map[string]string
	}
	Spec struct {
		ServiceAccountName string
		SecurityContext    struct{ RunAsUser, FSGroup int }
		Containers         []struct {
			Args         []string
			Env          []struct{ Name, Value string }
			VolumeMounts []struct {
				Name, MountPath string
				ReadOnly        bool
			}
			SecurityContext struct{ ReadOnlyRootFilesystem bool }
			ReadinessProbe  struct {
				HTTPGet struct{ Path, Scheme string }
			}
		}
		Volumes []struct {
			Name      string
			EmptyDir  *struct{}
			ConfigMap *struct {
				Name  string
				Items []item
			}
			Secret *struct {
				SecretName  string
				DefaultMode os.FileMode
			}
			Projected *struct{} // of a service account
		}
	}
}

type item struct {
	Key, Path string
	Mode      os.FileMode
}

// kubelet runs the controllers' pods on this machine as a node would, from what the API server has
// of them: their images' file system, read-only, with the volumes that they name and nothing else;
// their user, without a privilege; their service account's token. The network is the machine's.
type kubelet struct {
	program string // stands for the image
	share   string // a directory that is at /postgres there
	server  *url.URL
	content map[string]map[string]string // of ConfigMaps and Secrets, by KIND/NAME
}

// running is a pod's only container.
type running struct {
	pod pod
	log string
	cmd *exec.Cmd
	at  string // where it listens

	root string // what is / in it
}

// volume makes the directory of one, and returns it.
func (k kubelet) volume(t testing.TB, p pod, n int) string {
	t.Helper()
	v := p.Spec.Volumes[n]
	dir := t.TempDir()
	group := p.Spec.SecurityContext.FSGroup
	put := func(files map[string]string, mode func(string) os.FileMode) {
		// in a directory that a link leads to, so that all change at once
		for path, text := range files {
			file := filepath.Join(dir, "..1", path)
			if err := errors.Join(
				os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600),
				os.Chown(file, 0, group), os.Chmod(file, mode(path)),
			); err != nil {
				t.Fatal(err)
			}
			top, _, _ := strings.Cut(path, "/")
			if err := os.Symlink(filepath.Join("..data", top), filepath.Join(dir, top)); err != nil && !errors.Is(err, os.ErrExist) {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("..1", filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mode := os.FileMode(0o777) | os.ModeSetgid
	switch {
	case v.EmptyDir != nil:
	case v.ConfigMap != nil:
		have, files, modes := k.of(t, "ConfigMap/"+v.ConfigMap.Name), map[string]string{}, map[string]os.FileMode{}
		for _, i := range v.ConfigMap.Items {
			text, ok := have[i.Key]
			if !ok {
				t.Fatalf("the ConfigMap has no %s", i.Key)
			}
			files[i.Path], modes[i.Path] = text, max(i.Mode, 0o644)
		}
		put(files, func(path string) os.FileMode { return modes[path] })
	case v.Secret != nil:
		put(k.of(t, "Secret/"+v.Secret.SecretName), func(string) os.FileMode { return v.Secret.DefaultMode })
	case v.Projected != nil:
		token := lab.Ctl(
			t, "", "create", "token", p.Spec.ServiceAccountName, "-n", p.Metadata.Namespace, "--bound-object-kind=Pod",
			"--bound-object-name="+p.Metadata.Name,
		)
		ca := k.of(t, "ConfigMap/kube-root-ca.crt")["ca.crt"]
		put(
			map[string]string{"token": strings.TrimSpace(token), "ca.crt": ca, "namespace": p.Metadata.Namespace},
			func(string) os.FileMode { return 0o640 },
		)
	default:
		t.Fatalf("a kubelet would know the volume %s, this one does not", v.Name)
	}
	if err := errors.Join(os.Chown(dir, 0, group), os.Chmod(dir, mode)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// contents are what ConfigMaps and Secrets of a namespace have, by KIND/NAME.
func contents(t testing.TB, namespace string) map[string]map[string]string {
	t.Helper()
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name string }
			Data     map[string]string
		}
	}
	if err := json.Unmarshal([]byte(lab.Ctl(t, "", "get", "configmaps,secrets", "-n", namespace, "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, o := range list.Items {
		if o.Kind == "Secret" {
			for key, text := range o.Data {
				plain, err := base64.StdEncoding.DecodeString(text)
				if err != nil {
					t.Fatal(err)
				}
				o.Data[key] = string(plain)
			}
		}
		out[o.Kind+"/"+o.Metadata.Name] = o.Data
	}
	return out
}

// of is what a volume is made of.
func (k kubelet) of(t testing.TB, name string) map[string]string {
	t.Helper()
	data, ok := k.content[name]
	if !ok {
		t.Fatalf("there is no %s for a volume", name)
	}
	return data
}

// run starts a pod's container.
func (k kubelet) run(t testing.TB, p pod) *running {
	t.Helper()
	c := p.Spec.Containers[0]
	root := t.TempDir()
	var script strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&script, format+"\n", args...) }
	say("set -e; R=%q", root)
	say(`mount -t tmpfs -o mode=755 tmpfs "$R"`)
	say(`mkdir -p "$R/proc" "$R/dev" "$R/usr/local/bin" "$R/postgres"; mount --rbind /proc "$R/proc"`)
	say(`for d in null urandom; do : >"$R/dev/$d"; mount --bind "/dev/$d" "$R/dev/$d"; done`)
	say(`: >"$R/usr/local/bin/hostler"; mount --bind %q "$R/usr/local/bin/hostler"; mount --bind %q "$R/postgres"`, k.program, k.share)
	dirs := map[string]string{}
	for n, v := range p.Spec.Volumes {
		dirs[v.Name] = k.volume(t, p, n)
	}
	for _, m := range c.VolumeMounts {
		say(`mkdir -p "$R"%q; mount --bind %q "$R"%[1]q`, m.MountPath, dirs[m.Name])
		if m.ReadOnly {
			say(`mount -o remount,bind,ro "$R"%q`, m.MountPath)
		}
	}
	if c.SecurityContext.ReadOnlyRootFilesystem {
		say(`mount -o remount,ro "$R"`)
	}
	say(`hostname %q`, p.Metadata.Name)
	u := p.Spec.SecurityContext.RunAsUser
	say(
		`exec setpriv --no-new-privs chroot --userspec=%d:%[1]d --groups=%[2]d "$R" /usr/local/bin/hostler "$@"`, u,
		p.Spec.SecurityContext.FSGroup,
	)
	args := slices.Clone(c.Args)
	for i, a := range args {
		// they share the machine's network
		args[i] = strings.Replace(a, "--listen=:7070", "--listen=127.0.0.1:0", 1)
	}
	r := &running{pod: p, root: root, log: filepath.Join(t.TempDir(), "log")}
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.cmd = exec.Command("unshare", slices.Concat([]string{"--mount", "--uts", "sh", "-c", script.String(), "sh"}, args)...)
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "KUBERNETES_SERVICE_HOST=" + k.server.Hostname(),
		"KUBERNETES_SERVICE_PORT=" + k.server.Port(),
	}
	for _, e := range c.Env {
		r.cmd.Env = append(r.cmd.Env, e.Name+"="+e.Value)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.kill()
		if t.Failed() {
			t.Logf("%s:\n%s", p.Metadata.Name, r.text())
		}
	})
	r.at = r.said(t, `"msg":"serving".*tcp:([0-9.:]+)`)
	return r
}

func (r *running) text() string {
	text, _ := os.ReadFile(r.log)
	return string(text[max(0, len(text)-8000):])
}

// said waits until the log matches, and returns the first group.
func (r *running) said(t testing.TB, what string) string {
	t.Helper()
	re := regexp.MustCompile(what)
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		text, _ := os.ReadFile(r.log)
		if m := re.FindSubmatch(text); m != nil {
			return string(m[len(m)-1])
		}
	}
	t.Fatalf("it did not log %q within a minute", what)
	return ""
}

func (r *running) kill() {
	if r.cmd.ProcessState == nil {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	}
}

// exec runs a command in it, as `kubectl exec` does.
func (r *running) exec(t testing.TB, args ...string) string {
	t.Helper()
	u := r.pod.Spec.SecurityContext.RunAsUser
	cmd := exec.Command(
		"nsenter",
		slices.Concat(
			[]string{
				"--target", fmt.Sprint(r.cmd.Process.Pid), "--mount", "--uts", "chroot",
				fmt.Sprintf("--userspec=%d:%[1]d", u), r.root,
			},
			args,
		)...,
	)
	cmd.Env = r.cmd.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%q in the pod: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// stop ends it as a kubelet does.
func (r *running) stop(t testing.TB) {
	t.Helper()
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	if err := r.cmd.Wait(); err != nil {
		t.Errorf("%s ended with %v:\n%s", r.pod.Metadata.Name, err, r.text())
	}
}

// pods returns those of a namespace, by a label, that are to be there: n of them.
func pods(t testing.TB, namespace, label string, n int) []pod {
	t.Helper()
	all := map[string]pod{}
	for limit := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var list struct{ Items []pod }
		text := lab.Ctl(t, "", "get", "pods", "-n", namespace, "-l", label, "-o", "json", "--field-selector=status.phase=Running")
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err)
		}
		clear(all)
		for _, p := range list.Items {
			all[p.Metadata.Name] = p
		}
		if len(all) == n {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf(
				"%d pods %s in %s, not %d\n%s", len(all), label, namespace, n,
				lab.Ctl(t, "", "get", "events,rs,pods", "-n", namespace),
			)
		}
	}
	out := make([]pod, 0, n)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}
