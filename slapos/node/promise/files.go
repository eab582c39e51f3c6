package promise

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"path"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/node/home"
)

// Where all is kept, in a partition.
const (
	base       = ".slapgrid/promise"
	resultDir  = base + "/result"
	logDir     = base + "/log"
	cacheDir   = base + "/cache"
	historyDir = base + "/history"

	maxFile    = 64 << 10
	maxLog     = 5 << 20
	stampLines = "2006-01-02 15:04:05"
	stampDate  = "2006-01-02T15:04:05-0700"
)

// state is the stored state of a promise between two runs: cache/TITLE.
type state struct {
	Tested  bool    `json:"is_tested"`
	Anomaly bool    `json:"is_anomaly_detected"`
	Period  float64 `json:"periodicity"`    // minutes
	Next    float64 `json:"next_run_after"` // seconds since 1970, as the others
	Stamp   float64 `json:"timestamp"`
	File    string  `json:"module_file"`
	MTime   float64 `json:"module_file_mtime"`

	known bool
}

func (s *state) period() time.Duration {
	if !(s.Period > 0 && s.Period < 60*24*366) { // so also what is no number
		return defaultPeriod
	}
	return time.Duration(s.Period * float64(time.Minute))
}

func (s *state) next() time.Time { return moment(s.Next) }

// of says whether a state is of the promise as it is now.
func (s *state) of(p *foundPromise) bool {
	return strings.HasSuffix(s.File, "/"+p.file) && math.Abs(s.MTime-seconds(p.mtime)) < 1e-3
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func moment(seconds float64) time.Time {
	if !(math.Abs(seconds) < 1e11) {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

// status is a result's file: result/TITLE.status.json.
type status struct {
	Title  string       `json:"title"`
	Name   string       `json:"name"`
	Path   string       `json:"path"`
	Took   float64      `json:"execution-time"`
	Result *statusInner `json:"result"`
}

type statusInner struct {
	Kind    Mode   `json:"type"`
	Failed  bool   `json:"failed"`
	Date    string `json:"date"`
	Message string `json:"message"`
}

// openStateDir opens the directory base; nil: nothing is kept yet.
func openStateDir(d *home.Dir) (*home.Dir, error) {
	kept, err := d.Sub(base)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return kept, err
}

// remember reads the stored state of a promise, in the directory base. An unreadable state is
// unknown.
func (p *foundPromise) remember(d, kept *home.Dir) {
	if text, err := kept.Read("cache/"+p.title, maxFile); err == nil {
		p.state.known = json.Unmarshal(text, &p.state) == nil
	}
	text, err := kept.Read("result/"+p.title+".status.json", maxFile)
	if err != nil {
		return
	}
	var s status
	if json.Unmarshal(text, &s) != nil || s.Result == nil || s.Name != p.name {
		return
	}
	r := p.result(d)
	r.Took = time.Duration(s.Took * float64(time.Second))
	r.take(s.Result)
	p.last = &r
}

func (p *foundPromise) statusFile() string { return path.Join(resultDir, p.title+".status.json") }

// result is one without what the promise said.
func (p *foundPromise) result(d *home.Dir) Result {
	return Result{Title: p.title, Name: p.name, Path: path.Join(d.Path(), p.file)}
}

// take sets what the promise said.
func (r *Result) take(s *statusInner) {
	if r.Kind = Test; s.Kind == Anomaly {
		r.Kind = Anomaly
	}
	r.Failed, r.Message = s.Failed, last(s.Message)
	if at, err := time.Parse(stampDate, s.Date); err == nil {
		r.Date = at
	}
}

// last is the last characters of a message, as readers can take them.
func last(message string) string {
	message = strings.TrimRight(strings.ToValidUTF8(message, "\uFFFD"), " \t\r\n\v\f")
	if len(message) <= maxMessage {
		return message
	}
	if all := []rune(message); len(all) > maxMessage {
		return string(all[len(all)-maxMessage:])
	}
	return message
}

// keep stores the result of a promise, and its state.
func (p *foundPromise) keep(d *home.Dir, r *Result) error {
	text, err := json.Marshal(status{
		r.Title, r.Name, r.Path, r.Took.Seconds(),
		&statusInner{r.Kind, r.Failed, r.Date.UTC().Format("2006-01-02T15:04:05+0000"), r.Message},
	})
	if err != nil {
		return err
	}
	if err := replace(d, p.statusFile(), text); err != nil {
		return err
	}
	line, err := json.Marshal(Entry{
		Date: r.Date.UTC().Truncate(time.Second), Kind: r.Kind, Failed: p.failed,
		Took: math.Round(r.Took.Seconds()*1000) / 1000,
	})
	if err != nil {
		return err
	}
	return d.Append(p.historyFile(), append(line, '\n'), 0o644, maxFile)
}

// keepState stores the state.
func (p *foundPromise) keepState(d *home.Dir, now time.Time) error {
	s := &p.state
	s.known = true
	s.Stamp, s.File, s.MTime = seconds(now), path.Join(d.Path(), p.file), seconds(p.mtime)
	s.Period = s.period().Minutes()
	s.Next = seconds(now.Add(s.period()))
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replace(d, path.Join(cacheDir, p.title), text)
}

// replace writes a file also where its owner has put something else.
func replace(d *home.Dir, name string, text []byte) error {
	if d.Write(name, text, 0o644) == nil {
		return nil
	}
	if err := d.Remove(name); err != nil {
		return err
	}
	return d.Write(name, text, 0o644)
}

func (p *foundPromise) historyFile() string { return path.Join(historyDir, p.title+".jsonl") }

// failedBefore counts how many of the latest results failed in turn, up to n.
func (p *foundPromise) failedBefore(d *home.Dir, n int) (count int) {
	for _, name := range []string{p.historyFile(), p.historyFile() + ".1"} {
		text, err := d.Read(name, 2*maxFile)
		if err != nil {
			return count
		}
		for lines := bytes.Split(bytes.TrimSpace(text), []byte("\n")); len(lines) > 0; lines = lines[:len(lines)-1] {
			var e Entry
			if json.Unmarshal(lines[len(lines)-1], &e) != nil || !e.Failed {
				return count
			}
			if count++; count == n {
				return count
			}
		}
	}
	return count
}

// write adds a line to a promise's log, as the base class of plugins does.
func (p *foundPromise) write(d *home.Dir, transaction string, r *Result) error {
	level := "INFO"
	if r.Failed {
		level = "ERROR"
	}
	line := r.Date.Local().Format(stampLines) + " - " + level + " - " + transaction + " - " + r.Message + "\n"
	return d.Append(path.Join(logDir, p.title+".log"), []byte(line), 0o644, maxLog)
}
