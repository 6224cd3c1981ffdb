SELECT learnt FROM profile WHERE endpoint = ?1
