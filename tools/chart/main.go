// Command chart renders a Helm chart with Helm's own engine, as `helm template` does, so that the
// plain manifests of packaging are what the chart says, and tests see what its values come to:
//
//	chart [-f VALUES]... [-n NAMESPACE] [-api GROUP/VERSION/KIND]... CHART [DIR]
//
// It prints all objects, or writes those of each template into a file of its own in DIR, where it
// takes away what no template writes any more, and of kustomization.yaml the list of resources.
// Values are checked by the chart's schema first.
package main

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
)

func main() {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what the engine has to say beside its errors
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// several is a flag that may be given more than once.
type several []string

func (s *several) String() string     { return strings.Join(*s, " ") }
func (s *several) Set(v string) error { *s = append(*s, v); return nil }

func run(args []string, out io.Writer) error {
	var files, apis several
	f := flag.NewFlagSet("chart", flag.ContinueOnError)
	f.Var(&files, "f", "values from a `FILE`, above those before")
	f.Var(&apis, "api", "what the cluster has beside Kubernetes' own, as `GROUP/VERSION/KIND`")
	namespace := f.String("n", "hostler", "the release's `NAMESPACE`")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() < 1 || f.NArg() > 2 {
		return fmt.Errorf("a chart, and at most a directory")
	}
	chart, err := loader.Load(f.Arg(0))
	if err != nil {
		return err
	}
	values := map[string]any{}
	for _, file := range files {
		more, err := common.ReadValuesFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		values = util.MergeTables(more, values)
	}
	can := common.DefaultCapabilities.Copy()
	can.APIVersions = append(can.APIVersions, apis...)
	all, err := util.ToRenderValues(
		chart, values, common.ReleaseOptions{Name: "hostler", Namespace: *namespace, Revision: 1, IsInstall: true}, can,
	)
	if err != nil {
		return err
	}
	rendered, err := engine.Render(chart, all)
	if err != nil {
		return err
	}
	objects := map[string]string{}
	for _, crd := range chart.CRDObjects() {
		objects["crd-"+path.Base(crd.Filename)] = string(crd.File.Data)
	}
	for name, text := range rendered {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(text) != "" {
			objects[path.Base(name)] = strings.TrimSpace(text) + "\n"
		}
	}
	names := slices.Sorted(maps.Keys(objects))
	if f.NArg() == 2 {
		return write(f.Arg(1), names, objects)
	}
	for _, name := range names {
		fmt.Fprintf(out, "---\n# %s\n%s", name, strings.TrimPrefix(objects[name], "---\n"))
	}
	return nil
}

// head is what a file that this wrote begins with.
const head = "# Made of packaging/helm/hostler by `make manifests`: change that.\n"

func write(dir string, names []string, objects map[string]string) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range old {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, there := objects[filepath.Base(file)]; !there && strings.HasPrefix(string(text), head) {
			if err := os.Remove(file); err != nil {
				return err
			}
		}
	}
	objects["kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- " + strings.Join(names, "\n- ") + "\n"
	for name, text := range objects {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(head+text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
