"""Remote stores: a URL such as s3://bucket/runs.csv stands for a local copy, fetched when it is read and sent when it
is written, so that everything else works with paths.

`mirrored` gives a URL its place in a folder of this process, `local` fetches what is there, isogloss.files sends
what was written to such a place, and `working` keeps a folder that is worked in for hours. fsspec is imported only
where a URL is met.
"""

from isogloss.stores.moving import beside as beside
from isogloss.stores.moving import check_target as check_target
from isogloss.stores.moving import exists as exists
from isogloss.stores.moving import local as local
from isogloss.stores.moving import local_matches as local_matches
from isogloss.stores.moving import named_beside as named_beside
from isogloss.stores.moving import send as send
from isogloss.stores.places import is_url as is_url
from isogloss.stores.places import mirrored as mirrored
from isogloss.stores.places import mirrored_argument as mirrored_argument
from isogloss.stores.places import shown as shown
from isogloss.stores.places import text_with_urls as text_with_urls
from isogloss.stores.places import url_of as url_of
from isogloss.stores.places import workplace as workplace
from isogloss.stores.working import looking as looking
from isogloss.stores.working import working as working
