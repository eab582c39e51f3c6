package confine_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hostler-project/hostler/provider/sandbox/confine"
)

// data is what the kernel shows of a system call.
type data struct {
	number, arch uint32
	args         [6]uint64
}

func (d *data) word(at uint32) uint32 {
	switch {
	case at == 0:
		return d.number
	case at == 4:
		return d.arch
	case at >= 16 && at < 64 && at%4 == 0:
		return uint32(d.args[(at-16)/8] >> (8 * (at % 8)))
	}
	panic(fmt.Sprint("no word at ", at))
}

// run is the kernel's machine for such programs, with its rules for what may be loaded. It returns
// the answer and how many steps it took.
func run(program []unix.SockFilter, d *data) (answer uint32, steps int) {
	var a uint32
	for pc := 0; ; steps++ {
		i := program[pc] // a jump beyond the end panics
		pc++
		jump := func(yes bool) {
			if yes {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = d.word(i.K)
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			jump(a == i.K)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			jump(a >= i.K)
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			jump(a&i.K != 0)
		case unix.BPF_RET | unix.BPF_K:
			return i.K, steps + 1
		default:
			panic(fmt.Sprintf("instruction %d: code %#x", pc-1, i.Code))
		}
	}
}

type machine struct {
	name  string
	audit uint32
	own   map[uint32]confine.Call // the table by number
	known func(n uint32) bool
}

func machines() []*machine {
	all := []*machine{
		{name: "amd64", audit: 0xc000003e, known: func(n uint32) bool { return n <= 336 || n >= 424 && n <= 471 }},
		{name: "arm64", audit: 0xc00000b7, known: func(n uint32) bool { return n <= 243 || n >= 260 && n <= 294 || n >= 424 && n <= 471 }},
	}
	for _, m := range all {
		m.own = map[uint32]confine.Call{}
		for _, c := range confine.Calls() {
			n := c.AMD64
			if m.name == "arm64" {
				n = c.ARM64
			}
			if n >= 0 {
				m.own[uint32(n)] = c
			}
		}
	}
	return all
}

// decide is the reference: what is to be answered, said in the plainest way.
func (m *machine) decide(nesting bool, d *data) uint32 {
	const allow, errno, kill = 0x7fff0000, 0x50000, 0x80000000
	if d.arch != m.audit {
		return kill
	}
	c, special := m.own[d.number]
	if !special {
		if m.known(d.number) {
			return allow
		}
		return errno | 38
	}
	low := func(i int) uint32 { return uint32(d.args[i]) }
	yes := func(ok bool, e uint32) uint32 {
		if ok {
			return allow
		}
		return errno | e
	}
	switch c.Rule {
	case "eperm":
		return errno | 1
	case "enosys":
		return errno | 38
	case "nested":
		return yes(nesting, 1)
	case "hidden", "contexts":
		return yes(nesting, 38)
	case "cloned":
		return yes(nesting || low(0)&0x7e020000 == 0, 1)
	case "unshared":
		return yes(nesting || low(0)&0x7e020080 == 0, 1)
	case "families":
		return yes(slices.Contains([]uint32{1, 2, 10, 16, 17}, low(0)), 97)
	case "terminals":
		return yes(!slices.Contains([]uint32{0x5412, 0x541c, 0x5423}, low(1)), 1)
	case "personalities":
		return yes(slices.Contains([]uint32{0, 8, 0x20000, 0x20008, 0x40000, 0xffffffff}, low(0)), 1)
	}
	panic("no rule " + c.Rule)
}

// Every number on both architectures, with arguments that matter to any rule, and x32's numbers.
func TestFilterDecides(t *testing.T) {
	values := []uint64{0, 1, 2, 8, 10, 16, 17, 38, 40, 0x80, 0x111, 0x5412, 0x541c, 0x5423, 0x5413, 0x20000, 0x20008,
		0x40000, 0x400000, 0x3d0f00,
		0x10000000, 0x10000011, 0x40000000, 0x02000000, 0xffffffff, 0xffffffffffffffff, 0x1_00000000, 0x1_10000000}
	for _, m := range machines() {
		for _, nesting := range []bool{false, true} {
			program := confine.Filter(m.name, nesting)
			if len(program) == 0 || len(program) > 4096 {
				t.Fatalf("%s: %d instructions", m.name, len(program))
			}
			most, sum, n := 0, 0, 0
			check := func(d *data) {
				got, steps := run(program, d)
				if want := m.decide(nesting, d); got != want {
					t.Errorf(
						"%s nesting=%v number %d arch %#x args %#x: %#x, want %#x", m.name, nesting, d.number, d.arch,
						d.args[:2], got, want,
					)
				}
				most, sum, n = max(most, steps), sum+steps, n+1
			}
			for number := range uint32(1200) {
				for _, v := range values {
					check(&data{number: number, arch: m.audit, args: [6]uint64{v, v}})
				}
				check(&data{number: number | 0x40000000, arch: m.audit})
				// i386, arm, and each other's
				for _, other := range []uint32{0, 0x40000003, 0x40000028, 0xc000003e, 0xc00000b7} {
					check(&data{number: number, arch: other})
				}
			}
			check(&data{number: 0xffffffff, arch: m.audit})
			t.Logf(
				"%s nesting=%v: %d instructions, at most %d steps, %.1f on average", m.name, nesting, len(program), most,
				float64(sum)/float64(n),
			)
			if most > 24 {
				t.Errorf("%s: %d steps", m.name, most)
			}
		}
	}
	if confine.Filter("riscv64", false) != nil {
		t.Error("there is a filter for an architecture without a table")
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(uint32(56), uint32(0xc000003e), uint64(0x10000011), uint64(0), true)
	f.Add(uint32(16), uint32(0xc000003e), uint64(0), uint64(0x5412), false)
	f.Add(uint32(198), uint32(0xc00000b7), uint64(38), uint64(0), false)
	type key struct {
		arch    string
		nesting bool
	}
	programs := map[key][]unix.SockFilter{}
	all := machines()
	for _, m := range all {
		for _, n := range []bool{false, true} {
			programs[key{m.name, n}] = confine.Filter(m.name, n)
		}
	}
	f.Fuzz(func(t *testing.T, number, arch uint32, a, b uint64, nesting bool) {
		for _, m := range all {
			d := &data{number: number, arch: arch, args: [6]uint64{a, b}}
			if got, _ := run(programs[key{m.name, nesting}], d); got != m.decide(nesting, d) {
				t.Errorf("%s %+v nesting=%v: %#x, want %#x", m.name, d, nesting, got, m.decide(nesting, d))
			}
		}
	})
}

// Every system call that golang.org/x/sys knows is judged, on both architectures and with its right
// number: refused by the table, or named in testdata/allowed. A new version with new calls fails
// here until they are.
func TestEveryCallIsJudged(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Skipf("confine: no sources of golang.org/x/sys: %v", err)
	}
	text, err := os.ReadFile("testdata/allowed")
	if err != nil {
		t.Fatal(err)
	}
	allowed := strings.Fields(string(text))
	line := regexp.MustCompile(`SYS_(\w+)\s+=\s+(\d+)`)
	met := map[string]bool{}
	for _, m := range machines() {
		source, err := os.ReadFile(strings.TrimSpace(string(out)) + "/unix/zsysnum_linux_" + m.name + ".go")
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range line.FindAllStringSubmatch(string(source), -1) {
			name := strings.ToLower(found[1])
			n, _ := strconv.ParseUint(found[2], 10, 32)
			if name == "arch_specific_syscall" {
				continue
			}
			met[name] = true
			c, refused := m.own[uint32(n)]
			switch {
			case refused && c.Name != name:
				t.Errorf("%s: %d is %s, the table says %s", m.name, n, name, c.Name)
			case refused == slices.Contains(allowed, name):
				t.Errorf("%s: %s (%d) is to be either in the table or in testdata/allowed", m.name, name, n)
			case !m.known(uint32(n)):
				t.Errorf("%s: %s (%d) is outside of the known numbers", m.name, name, n)
			}
		}
	}
	for _, c := range confine.Calls() {
		if !met[c.Name] {
			t.Errorf("the table has %s, which does not exist", c.Name)
		}
	}
	for _, name := range allowed {
		if !met[name] {
			t.Errorf("testdata/allowed has %s, which does not exist", name)
		}
	}
}

func BenchmarkFilter(b *testing.B) {
	for b.Loop() {
		confine.Filter("amd64", false)
	}
}

// BenchmarkSelf confines new processes and reports how long each took for it.
func BenchmarkSelf(b *testing.B) {
	for _, without := range []string{
		"", "seccomp", "capabilities", "no-new-privs", "seccomp capabilities", "seccomp capabilities no-new-privs",
	} {
		b.Run("without="+strings.ReplaceAll(without, " ", "+"), func(b *testing.B) {
			u := as{"", uint32(os.Geteuid()), 1}
			var all []float64
			for b.Loop() {
				r := try(b, u, confine.Options{Without: strings.Fields(without)})
				d, err := time.ParseDuration(r["took"])
				if err != nil {
					b.Fatal(err)
				}
				all = append(all, float64(d)/1000)
			}
			slices.Sort(all)
			b.ReportMetric(all[len(all)/2], "µs-median")
			b.ReportMetric(all[0], "µs-least")
		})
	}
}
