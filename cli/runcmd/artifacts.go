package runcmd

import (
	"cmp"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/run/artifacts"
	"github.com/hostler-project/hostler/run/workspace/newfiles"
)

// artifactDefault is how many bytes are brought back unless hostler.conf says otherwise.
const artifactDefault = 1 << 30

// artifactFlags say what is brought back from a run.
type artifactFlags struct {
	junit, artifacts, onFailure, require []string
	get                                  []string
	failTests                            bool
}

// flags declares the options about what a command leaves behind.
func (o *artifactFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(
		&o.junit, "junit", nil,
		"read the reports of tests that match `GLOB` and that the command wrote, and show what failed; may be repeated",
	)
	f.BoolVar(&o.failTests, "fail-on-test-failures", false, "exit with 1 if a test failed, though the command went well")
	f.StringArrayVar(&o.artifacts, "artifact", nil, "bring back the files that match `GLOB` and that the command wrote; may be repeated")
	f.StringArrayVar(
		&o.onFailure, "artifact-on-failure", nil,
		"bring back the files that match `GLOB`, if the command failed or its time had passed; may be repeated",
	)
	f.StringArrayVar(
		&o.require, "require", nil,
		"bring back the files that match `GLOB`, and exit with 122 if there is none though the command went well; may be repeated",
	)
	f.StringArrayVar(&o.get, "get", nil, "copy a file there to one here, `REMOTE=LOCAL`, whoever wrote it; may be repeated")
}

// options checks the options, and adds those of hostler.conf.
func (o *artifactFlags) options(s resultsSection) (w artifacts.Options, err error) {
	w.FailTests, w.Most = o.failTests, cmp.Or(s.ArtifactSize, artifactDefault)
	for _, list := range []struct {
		to     *[]newfiles.Pattern
		option string
		globs  []string
	}{
		{&w.JUnit, "--junit", o.junit}, {&w.JUnit, "[results] junit", s.JUnit},
		{&w.Files, "--artifact", o.artifacts}, {&w.Files, "[results] artifacts", s.Artifacts},
		{&w.OnFailure, "--artifact-on-failure", o.onFailure}, {&w.Require, "--require", o.require},
	} {
		for _, g := range list.globs {
			p, err := newfiles.Parse(g)
			if err != nil {
				return w, fault.Invalid("", "%s %v", list.option, err)
			}
			*list.to = append(*list.to, p)
		}
	}
	if w.FailTests && len(w.JUnit) == 0 {
		return w, fault.Invalid("--junit 'reports/*.xml'", "--fail-on-test-failures: no --junit says where the reports are")
	}
	taken := map[string]string{}
	for _, g := range o.get {
		remote, local, ok := strings.Cut(g, "=")
		if !ok || remote == "" || local == "" {
			return w, fault.Invalid("--get build/app=app", "--get %s: not REMOTE=LOCAL", g)
		}
		there, err := newfiles.Literal(remote)
		if err != nil {
			return w, fault.Invalid("", "--get %v", err)
		}
		if local, err = landing(local, remote); err != nil {
			return w, fault.Invalid("", "--get %s: %v", g, err)
		}
		if other, ok := taken[local]; ok {
			return w, fault.Invalid("", "--get %s: %s would be written to the same file, %s", g, other, local)
		}
		taken[local] = remote
		w.Copies = append(w.Copies, artifacts.Copy{Remote: path.Clean(remote), Local: local, Pattern: there})
	}
	return w, nil
}
