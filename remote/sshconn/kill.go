package sshconn

import (
	"context"
	"time"
)

// kill ends the command's group and waits for the end of its session; if that does not come it
// makes sure that the host still answers.
func (r *sshRun) kill(control *sshControl) {
	end, cancel := context.WithTimeout(context.Background(), dyingTime)
	defer cancel()
	r.waitStarted(control)
	for end.Err() == nil {
		r.killOnce(control, end.Done())
		select {
		case <-r.sess.closed:
			return
		case <-r.sess.exited:
			// Others of the group may hold the output; they were told as well.
			r.out.wait(lateOutput)
			r.err.wait(lateOutput)
			return
		case <-time.After(killAgain):
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	if r.sess.link.ping(ctx) != nil {
		r.sess.link.conn.Close()
		<-r.sess.link.gone
	}
}

// waitStarted waits a moment for a command that has only just been asked for, so that there is a
// group to kill and somebody to do it.
func (r *sshRun) waitStarted(control *sshControl) {
	moment := time.After(lateOutput)
	for _, c := range []<-chan struct{}{r.started, control.ready} {
		select {
		case <-c:
		case <-r.sess.closed:
		case <-moment:
			return
		}
	}
}

// killOnce uses the control, which says when it is done, else the protocol's request, which may
// reach the leader alone.
func (r *sshRun) killOnce(control *sshControl, end <-chan struct{}) {
	if isClosed(r.started) && isClosed(control.ready) {
		if done := control.signal(&r.group, "KILL", true); done != nil {
			select {
			case <-done:
				return
			case <-r.sess.link.gone:
				return
			case <-end:
			}
		}
	}
	r.sess.tell("signal", struct{ Name string }{"KILL"})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
