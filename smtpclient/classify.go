package smtpclient

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
		o.Notes = append(o.Notes[:len(o.Notes):len(o.Notes)], "Client.Classify: "+err.Error())
	}
	if status == o.Status || status != Deferred && status != Failed {
		return
	}
	o.Status, o.Action = status, actions[status]
	o.Enhanced = unspecified[status][:1] + o.Enhanced[1:]
}

// classified calls the hook. A panic leaves the verdict as it was.
func classified(classify func(Attempt, Status) Status, o *Outcome) (s Status, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = o.Status, panicked(p)
		}
	}()
	return classify(o.Attempt, o.Status), nil
}
