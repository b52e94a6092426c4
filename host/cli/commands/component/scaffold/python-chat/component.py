"""The plain loop: a turn renders the history through the session's template, lets the model answer, and streams the answer
as events. It offers the model no tools.

An interface is a class of its name in this module, and its resources are classes in a module of its name: the
interface `chat` has nothing but resources, which are in chat.py.
"""

import chat  # noqa: F401
from wit_world import exports


class Chat(exports.Chat):
    pass
