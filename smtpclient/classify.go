package smtpclient

import "slices"

// judge asks Client.Classify about the verdict on a recipient, once for each
// attempt.
func (r *recipient) judge() {
	o := r.outcome
	if r.classify == nil || r.judged || o.Status != Deferred && o.Status != Failed {
		return
	}
	r.judged = true
	status, err := classified(r.classify, o)
	if err != nil {
		a := o.edit()
		a.Notes = append(slices.Clone(a.Notes), "Client.Classify: "+err.Error())
	}
	if status == o.Status || status != Deferred && status != Failed {
		return
	}
	o.Status, o.Action = status, actions[status]
	a := o.edit()
	a.Enhanced = unspecified[status][:1] + a.Enhanced[1:]
}

// classified calls the hook. A panic leaves the verdict as it was.
func classified(classify func(Attempt, Status) Status, o *Outcome) (s Status, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = o.Status, panicked(p)
		}
	}()
	return classify(*o.Attempt, o.Status), nil
}
