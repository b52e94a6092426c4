"""Min-p sampling (arXiv:2407.01082), by `step`: a token stays if it is at least `min_p` times as likely as the best
one, and of those that stay one is drawn.

An interface is a class of its name in this module, and its resources are classes in a module of its name: the policy
that each request gets is in policy.py.
"""

import parameters
from wit_world import exports
from wit_world.exports.policy import Op


class Policy(exports.Policy):
    def plan(self, params: str) -> list[Op] | None:
        # Not a plan, but what is wrong with the parameters is best said before the first token.
        parameters.parse(params)
        return None
