package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/config"
)

// projects loads a configuration of files in the first root.
func projects(t *testing.T, files map[string]string) *config.Config {
	t.Helper()
	dir, work := t.TempDir(), t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if strings.HasPrefix(name, ".hostler/") {
			path = filepath.Join(work, name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load(config.LoadOptions{
		Dir: work, ConfigDir: dir, Home: t.TempDir(), System: t.TempDir(), Env: func(string) string { return "" },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestProjects: what a project.conf says is read, and a source may be for some projects alone.
func TestProjects(t *testing.T) {
	c := projects(t, map[string]string{
		"projects/web/project.conf": "weight = 2.5\nhighest_priority = 10\n\n[members]\nann@example.org = operator\nbob-b = user\n[groups]\nall staff = viewer\n" +
			"[quota]\ncount = 20\ncores = 64\nmemory = 1T\ncost = 12.5\n[user-quota]\ncount = 3\n",
		"projects/db/project.conf":            "",
		"projects/.git/x":                     "",
		"sources/one/source.conf":             "type = fake\nprojects = web, db\n",
		"sources/two/source.conf":             "type = fake\nprojects = wbe\n",
		"sources/all/source.conf":             "type = fake\n",
		".hostler/projects/mine/project.conf": "[members]\neve = operator\n",
	})
	if len(c.Projects) != 2 || c.Projects[0].Name != "db" || c.Projects[0].Weight != 1 ||
		c.Projects[0].Priority != nil || len(c.Projects[0].Members) != 0 {
		t.Fatalf("c.Projects = %+v", c.Projects)
	}
	web, err := c.Project("web")
	if err != nil || web.Err != nil {
		t.Fatalf("err = %v, web = %v; want no error and no error", err, web)
	}
	web.Root, web.File = "", ""
	want := fmt.Sprint(&config.Project{
		Name: "web", Weight: 2.5, Priority: web.Priority,
		Members: map[string]string{"ann@example.org": "operator", "bob-b": "user"},
		Groups:  map[string]string{"all staff": "viewer"},
		Quota:   config.Quota{Count: 20, Cores: 64, Memory: 1 << 40, Cost: 12.5}, UserQuota: config.Quota{Count: 3},
		Sources: []string{"one"},
	})
	if got := fmt.Sprint(web); got != want || *web.Priority != 10 {
		t.Errorf("%s\nis not\n%s", got, want)
	}
	if _, err := c.Project("wbe"); err == nil || !strings.Contains(err.Error(), "did you mean web?") {
		t.Errorf(`err = %v; want an error and err.Error() with "did you mean web?"`, err)
	}
	one, _ := c.Source("one")
	all, _ := c.Source("all")
	if fmt.Sprint(one.Projects, all.Projects) != "[web db] []" {
		t.Errorf(
			"one.Projects = %v, all.Projects = %v"+
				`; want fmt.Sprint(one.Projects, all.Projects) == "[web db] []"`,
			one.Projects, all.Projects,
		)
	}
	var warnings string
	for _, w := range c.Warnings {
		warnings += w.Error() + "\n"
	}
	if !strings.Contains(warnings, "two/source.conf:2: source two: projects: there is no project wbe; did you mean web?") ||
		!strings.Contains(warnings, "not read from trees") {
		t.Errorf(
			"warnings = %s"+
				`; want warnings with "two/source.conf:2: source two: projects: there is no project wbe; `+
				`did you mean web?" and warnings with "not read from trees"`,
			warnings,
		)
	}
}

// TestBadProjects: what is wrong with a project is said with file and line, and then nobody is in
// it.
func TestBadProjects(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"web", "wieght = 2", ":1: wieght: unknown key; did you mean weight?"},
		{"web", "weight = 0", ":1: weight: \"0\" is not a weight, a number above 0"},
		{"web", "weight = NaN", "is not a weight"},
		{"web", "highest-priority = high", "\"high\" is not a whole number"},
		{"web", "[members]\nann = user\nbob = amdin", ":3: bob: \"amdin\" is none of viewer, user, operator"},
		{"web", "[members]\nann = admin", "admins in [auth] of hostler.conf"},
		{"web", "[members]\nann = user\n[groups]\nx = owner", ":4: x: \"owner\" is none of"},
		{"web", "[memebrs]\nann = user", ":2: ann: is in the unknown section [memebrs]; did you mean [members]?"},
		{"web", "[quota]\ncuont = 3", ":2: cuont: unknown key; did you mean count?"},
		{"web", "[quota]\ncount = 0", "leave it out for no limit"},
		{"web", "[quota]\nmemory = much", "is not a size"},
		{"web", "[user-quota]\ncost = -1", "is not a price"},
		{"web", "[members]\nann = user\nann = operator", ":3: ann: given a second time"},
		{".x", "", ""}, // not a project
		{"a b", "", "cannot be a project's name"},
		{"-x", "", "cannot be a project's name"},
		{strings.Repeat("x", 64), "", "cannot be a project's name"},
	} {
		c := projects(t, map[string]string{"projects/" + test.name + "/project.conf": test.text})
		if test.want == "" {
			if len(c.Projects) != 0 {
				t.Errorf("%s: c.Projects = %+v; want len(c.Projects) == 0", test.name, c.Projects)
			}
			continue
		}
		if len(c.Projects) != 1 || c.Projects[0].Err == nil ||
			!strings.Contains(c.Projects[0].Err.Error(), test.want) || !strings.Contains(c.Projects[0].Err.Error(), "projects/"+test.name) {
			t.Errorf(
				"%q: c.Projects[0].Err = %v"+
					"; want len(c.Projects) == 1 and an error and c.Projects[0].Err.Error() with test.want and "+
					`c.Projects[0].Err.Error() with "projects/" + test.name`,
				test.text, c.Projects[0].Err,
			)
		} else if len(c.Projects[0].Members)+len(c.Projects[0].Groups) > 0 {
			t.Errorf("%q: members %v", test.text, c.Projects[0].Members)
		}
	}
	if c := projects(t, map[string]string{"projects/file": "x"}); len(c.Projects) != 1 || c.Projects[0].Err == nil ||
		!strings.Contains(c.Projects[0].Err.Error(), "is not a directory with a project.conf") {
		t.Errorf(
			"c.Projects = %+v"+
				`; want len(c.Projects) == 1 and an error and c.Projects[0].Err.Error() with "is not a `+
				`directory with a project.conf"`,
			c.Projects,
		)
	}
	if c := projects(t, map[string]string{"sources/x/source.conf": "type = fake\nprojects =\n"}); c.Sources[len(c.Sources)-1].Err == nil {
		t.Error("a source for no project")
	}
}
