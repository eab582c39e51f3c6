package sshconn

import (
	"bufio"
	"context"
	"io"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/hostler-project/hostler/remote/shell"
)

// sshControl is one more session of a link: a shell that signals process groups when it is told to,
// and that ends those it knows of when the connection breaks off, which sshd alone does not do for
// commands without a terminal. A host where it cannot be started goes without: then signals go by
// the protocol's own request.
type sshControl struct {
	ready chan struct{} // closed when it is there, or never will be
	turn  chan struct{} // holds a token while somebody writes

	mu   sync.Mutex
	ch   ssh.Channel // nil: not there
	gone chan struct{}
	next int
	sent map[string]chan struct{} // by the IDs of signals; closed when the signal was sent
}

// killAll has all groups killed and waits for that, but not for long.
func (c *sshControl) killAll() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-c.ready
		if c.say("q") {
			<-c.gone
		}
	}()
	select {
	case <-done:
	case <-time.After(answerTime):
	}
}

// controlScript reads these lines:
//   - "+ ID KIND PID USER MARK": a group to end when we are gone
//   - "- ID": a group to forget
//   - "k SIGNAL KIND PID USER MARK ID": a signal to send, answered by ID
//   - "h USER MARK ID": kill the processes with the mark in their environment, answered by ID
//   - "q": the end of all groups at once, and of the script
//
// KILL also goes to all processes with the mark. KIND is g: the group PID; t: the group in the
// foreground of PID's terminal; s: all of PID's session. USER is the user of the command, "-" for
// ourselves: sudo, which stands in the same group, may be ours to kill when the command is not. A
// group is remembered with the start time of its leader, so that a number that has become another's
// is left alone.
const controlScript = `trap "" HUP INT TERM PIPE;L=
St(){ r=;{ read -r r </proc/$1/stat;} 2>/dev/null;r=${r##*) };}
Nth(){ shift $1;echo $1;}
One(){ [ "$3" != - ]&&sudo -n -u "$3" sh -c "kill -$1 $2" 2>/dev/null </dev/null&&[ $1 != KILL ]&&return;kill -$1 $2 2>/dev/null;}
H(){ [ "$1" = - ]||sudo -n -u "$1" sh -c "$HU" sh KILL "$2" 2>/dev/null </dev/null;sh -c "$HU" sh KILL "$2" 2>/dev/null </dev/null;}
K(){ case $2 in
t) St $3;g=$3;[ -n "$r" ]&&g=$(Nth 6 $r);[ "$g" -gt 1 ]||g=$3;One $1 -$g $4||One $1 -$3 $4;;
s) for f in /proc/[0-9]*;do St ${f#/proc/};[ -n "$r" ]&&[ "$(Nth 4 $r)" = $3 ]&&One $1 ${f#/proc/} $4;done;One $1 -$3 $4;;
*) One $1 -$3 $4;;esac;[ $1 != KILL ]||H $4 $5;}
while read -r c a k p u m d;do case $c in
+) St $p;s=;[ -n "$r" ]&&s=$(Nth 20 $r);L="$L $a,$k,$p,$u,$m,$s";;
-) N=;for i in $L;do case $i in $a,*);;*) N="$N $i";;esac;done;L=$N;;
k) K $a $k $p $u $m;echo $d;;
h) H $a $k;echo $p;;
q) q=y;break;;
esac;done
`

// startControl returns the link's control, started if it is not there yet. It does not wait.
func (l *sshLink) startControl() *sshControl {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.control == nil {
		l.control = &sshControl{ready: make(chan struct{}), turn: make(chan struct{}, 1)}
		l.wg.Add(1)
		go func() {
			defer l.wg.Done()
			l.control.start(l)
		}()
	}
	return l.control
}

// start opens the control channel within 10 seconds. If that fails, c.ch stays unset and ready
// is closed all the same.
func (c *sshControl) start(l *sshLink) {
	defer close(c.ready)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := l.open(ctx)
	if err != nil {
		return
	}
	if err := s.request(
		ctx, "exec",
		struct{ Command string }{"exec sh -c " + shell.Word("HU='"+shell.KillTree+"'\n"+controlScript+controlEnd)},
	); err != nil {
		s.Close()
		return
	}
	go c.listen(s) // ends with the channel
	go discard(s.Stderr())
	c.mu.Lock()
	c.ch, c.gone = s.Channel, s.closed
	c.mu.Unlock()
}

// controlEnd is what happens when the connection is gone: a word of warning, then the end.
const controlEnd = `E0(){ for i in $L;do IFS=,;set -- $i;unset IFS;St $3;if [ -n "$r" ]&&[ -n "$6" ]&&[ "$(Nth 20 $r)" != "$6" ];then [ $Q != KILL ]||H $4 $5;else K $Q $2 $3 $4 $5;fi;done;}
[ -n "$L" ]||exit 0
[ -n "$q" ]||{ Q=TERM;E0;sleep 1;}
Q=KILL;E0`

func discard(r interface{ Read([]byte) (int, error) }) {
	b := make([]byte, 4096)
	for {
		if _, err := r.Read(b); err != nil {
			return
		}
	}
}

// listen takes the answers.
func (c *sshControl) listen(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		c.mu.Lock()
		if done := c.sent[lines.Text()]; done != nil {
			close(done)
			delete(c.sent, lines.Text())
		}
		c.mu.Unlock()
	}
}

// stop gives the control's session back to a host that has no other.
func (c *sshControl) stop() {
	c.mu.Lock()
	ch := c.ch
	c.ch = nil
	c.mu.Unlock()
	if ch != nil {
		ch.Close()
	}
}

// say writes a line, and reports whether there was anybody to say it to.
func (c *sshControl) say(line string) bool {
	c.mu.Lock()
	ch, gone := c.ch, c.gone
	c.mu.Unlock()
	if ch == nil {
		return false
	}
	select { // one Write at a time: a channel's are not safe together
	case c.turn <- struct{}{}:
	case <-gone:
		return false
	}
	defer func() { <-c.turn }()
	_, err := ch.Write([]byte(line + "\n"))
	return err == nil
}

// sshGroup is the far side's process group, or session with a terminal, of one command.
type sshGroup struct {
	pid  int // the leader of the group
	tty  bool
	user string
	mark string // the command's, as NAME=VALUE
	id   string // in the control's list; "": not in it
}

func (g *sshGroup) words(kind string) string {
	return kind + " " + strconv.Itoa(g.pid) + " " + g.who()
}

// who returns the user and the mark, as controlScript takes them.
func (g *sshGroup) who() string {
	user := g.user
	if user == "" {
		user = "-"
	} else if _, err := strconv.Atoi(user); err == nil {
		user = "#" + user // as sudo has numbers
	}
	return user + " " + g.mark
}

// guard has the group ended when the connection breaks off.
func (c *sshControl) guard(g *sshGroup) {
	kind := "g"
	if g.tty {
		kind = "s"
	}
	c.mu.Lock()
	c.next++
	id := strconv.Itoa(c.next)
	c.mu.Unlock()
	if c.say("+ " + id + " " + g.words(kind)) {
		g.id = id
	}
}

func (c *sshControl) forget(g *sshGroup) {
	if g.id != "" {
		c.say("- " + g.id)
	}
}

// signal has a signal sent to the group, or with all to the whole session, and returns what is
// closed when that is done; nil: there is nobody to tell.
func (c *sshControl) signal(g *sshGroup, name string, all bool) <-chan struct{} {
	kind := "g"
	switch {
	case g.tty && all:
		kind = "s"
	case g.tty:
		kind = "t"
	}
	return c.ask("k " + name + " " + g.words(kind))
}

// killTree has all killed that have the group's mark, and returns what is closed when that is done;
// nil: there is nobody to tell.
func (c *sshControl) killTree(g *sshGroup) <-chan struct{} { return c.ask("h " + g.who()) }

// ask says a line with an ID behind it, and returns what is closed when that is answered; nil:
// there is nobody to tell.
func (c *sshControl) ask(line string) <-chan struct{} {
	done := make(chan struct{})
	c.mu.Lock()
	c.next++
	id := strconv.Itoa(c.next)
	if c.sent == nil {
		c.sent = map[string]chan struct{}{}
	}
	c.sent[id] = done
	c.mu.Unlock()
	if !c.say(line + " " + id) {
		return nil
	}
	return done
}
