package smtpclient

import (
	"context"
	"time"
)

// Send carries out one transaction with all recipients of env, or several where
// the server takes no more recipients in one, and leaves the session ready for
// the next. The Report and the error are those of Client.Deliver: what this
// server does not take for now is Deferred. NextHops is ignored.
func (s *Session) Send(ctx context.Context, env Envelope, content Content) (report Report, err error) {
	start := time.Now()
	l := letters.Get().(*letter)
	l.address(&env)
	l.alone, l.most = true, -1
	told := tell(ctx, l, content)
	defer func() {
		p := recover()
		if p != nil {
			l.settleOpen(Deferred, &Attempt{Stage: StageInput, Enhanced: "4.3.0", Cause: panicked(p)})
		}
		l.finish()
		l.complete(start)
		told.end(l)
		report, err = l.report, l.report.Err()
		if p == nil {
			l.release()
		}
	}()
	if told.failed {
		return
	}
	ctx = told.ctx
	l.filters = s.filters
	l.check(ctx, content, s.rules)
	rcpts := l.pair(s.kind.protocol)
	if len(rcpts) == 0 {
		return
	}
	failure := s.enter(ctx)
	if failure != nil {
		l.settleOpen(Deferred, &failure.Attempt)
		return
	}
	defer s.leave()
	left, _ := s.carry(l, rcpts)
	s.reader.Rest()
	for _, r := range left {
		a := s.at
		a.Stage, a.Enhanced, a.Cause = StageMail, "4.5.3", errMailMax
		r.settle(Deferred, &a)
	}
	return
}
